/** What an answer waits for, in words. */

import { hasWords, ordinal, t } from "./words.js";

/** @param {import("./answer.js").Phase} phase */
export function phaseWords({ phase, position, attempt, server, name }) {
  if (phase === "queued") return position ? t("queued", { place: ordinal(position) }) : t("queuedSomewhere");
  if (phase === "retrying" && server) return t("retryingElsewhere", { server, n: attempt ?? 1 });
  if (phase === "retrying" || phase === "reconnecting") return t(phase, { n: attempt ?? 1 });
  if (phase === "tool") return t("tool", { name: name ?? "" });
  return hasWords(phase) ? t(phase) : t("waiting"); // a phase that is newer than this page
}
