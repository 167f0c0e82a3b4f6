/** What a key has left of its day, in words. */

import { t, whole } from "./words.js";

/**
 * Ask the gateway, and say it; "" where nobody counts, or there is no key.
 * @param {import("./gateway.js").Gateway} gateway @returns {Promise<string>}
 */
export async function spentWords(gateway) {
  if (!gateway.apiKey.isThere) return "";
  try {
    return wordsOf(await gateway.usage());
  } catch {
    return ""; // a gateway without keys has no such route; one that is away says so elsewhere
  }
}

/** @param {Record<string, unknown>} usage */
function wordsOf({ tokens_used: used, tokens_per_day: most, tokens_left: left }) {
  if (typeof used !== "number") return "";
  if (typeof most !== "number" || typeof left !== "number") return t("daySpent", { count: whole(used) });
  return t("dayLeft", { left: whole(left), most: whole(most) });
}
