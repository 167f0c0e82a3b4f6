/** Tells the gateway whether a tool may run. */

import { Refused } from "./gateway.js";
import { t } from "./words.js";

/**
 * Return why it was not taken, in words; "" where it was: what comes of it, the stream says.
 * @param {import("./gateway.js").Gateway} gateway @param {import("./answer.js").Answer} answer @param {string} call @param {boolean} approve
 */
export async function decide(gateway, answer, call, approve) {
  try {
    await gateway.approve(answer.stream ?? "", call, approve);
    return "";
  } catch (error) {
    if (!(error instanceof Refused)) return t("unreachable", { origin: gateway.origin || location.origin });
    if (error.status === 409) return t("toolDecided");
    return error.status === 404 || error.status === 410 ? t("toolNotWaiting") : error.failure.message;
  }
}
