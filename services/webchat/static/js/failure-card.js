/** What went wrong, whether asking again helps, and when. */

import { h, icon } from "./dom.js";
import { t } from "./words.js";

const LOCAL = /^https?:\/\/(localhost|127\.[\d.]+|\[::1\])(:|$)/;

/**
 * @param {import("./gateway.js").Failure} failure @param {string} gateway its origin @param {() => void} retry
 */
export function failureCard(failure, gateway, retry) {
  const words = wordsOf(failure, gateway);
  const advice = h("p", { class: "advice" });
  const button = h("button", { type: "button", class: "text-button", onclick: retry }, icon("retry"), t("retry"));
  const until = failure.retryAfter ? Date.now() + failure.retryAfter * 1000 : 0;
  countDown(advice, failure.retryable, until);
  return h(
    "div",
    { class: "failure", role: "alert" },
    icon("warning"),
    h("div", {}, h("p", { class: "what" }, words), advice, h("p", { class: "code" }, codeOf(failure))),
    button,
  );
}

/** @param {import("./gateway.js").Failure} failure */
function codeOf({ code, stage, requestId }) {
  return [code, stage, requestId].filter(Boolean).join(" · ");
}

/** @param {import("./gateway.js").Failure} failure @param {string} gateway */
function wordsOf(failure, gateway) {
  if (failure.code !== "unreachable") return failure.message || t("failed");
  const misled = LOCAL.test(gateway) && !LOCAL.test(location.origin);
  return t(misled ? "localGateway" : "unreachable", { origin: gateway || location.origin });
}

/** @param {HTMLElement} advice @param {boolean} retryable @param {number} until ms */
function countDown(advice, retryable, until) {
  const left = until - Date.now();
  if (left > 0) {
    advice.textContent = t("retryIn", { seconds: Math.ceil(left / 1000) });
    setTimeout(() => countDown(advice, retryable, until), Math.min(left, 1000));
  } else advice.textContent = t(retryable ? "retryMayHelp" : "retryNoHelp");
}
