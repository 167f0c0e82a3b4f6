/** What went wrong, whether asking again helps, and when; and what else one can do about it. */

import { h, icon } from "./dom.js";
import { instant, span, t, whole } from "./words.js";

const LOCAL = /^https?:\/\/(localhost|127\.[\d.]+|\[::1\])(:|$)/;
/** From here on a countdown says the time of day, too. */
const LONG_MS = 120_000;

/**
 * @typedef {object} Remedies
 * @property {string} gateway its origin
 * @property {() => void} enterKey
 * @property {() => void} chooseModel
 * @property {() => Promise<string>} spent what is left to this key of its day, in words; "" where nobody counts
 */

/** What a code asks of a person other than to wait. @type {Record<string, {words: string, button: string, remedy: "enterKey" | "chooseModel"}>} */
const CURES = {
  unauthorized: { words: "cureKey", button: "keyEnter", remedy: "enterKey" },
  forbidden: { words: "cureScope", button: "keyOther", remedy: "enterKey" },
  model_not_allowed: { words: "cureModel", button: "keyModel", remedy: "chooseModel" },
};
const LIMITED = new Set(["rate_limited", "concurrency_limited"]);

/**
 * @param {import("./gateway.js").Failure} failure @param {Remedies} remedies
 * @param {{isNews: boolean, retry: () => void}} how `isNews`: it is read out; one of an old chat is not
 */
export function failureCard(failure, remedies, { isNews, retry }) {
  const cure = CURES[failure.code];
  const advice = h("p", { class: "advice", "aria-live": "off" }, cure ? t(cure.words) : null); // a countdown is not read out
  if (!cure) countDown(advice, failure);
  return h(
    "div",
    { class: "failure", role: isNews ? "alert" : "group", "aria-label": t("failed"), "data-code": failure.code },
    icon("warning"),
    h(
      "div",
      {},
      h("p", { class: "what" }, wordsOf(failure, remedies.gateway)),
      advice,
      LIMITED.has(failure.code) ? leftOf(failure, remedies) : null,
      h("p", { class: "code" }, codeOf(failure)),
    ),
    h(
      "div",
      { class: "remedies" },
      cure ? h("button", { type: "button", class: "text-button", onclick: () => remedies[cure.remedy]() }, t(cure.button)) : null,
      h("button", { type: "button", class: "text-button retry", onclick: retry }, icon("retry"), t("retry")),
    ),
  );
}

/** @param {import("./gateway.js").Failure} failure */
function codeOf({ code, stage, requestId }) {
  return [code, stage, requestId].filter(Boolean).join(" · ");
}

/** @param {import("./gateway.js").Failure} failure @param {string} gateway */
function wordsOf(failure, gateway) {
  if (failure.code === "unauthorized") return t("keyFailed");
  if (failure.code === "model_not_allowed") return t("modelNotAllowed");
  if (failure.code !== "unreachable") return failure.message || t("failed");
  const misled = LOCAL.test(gateway) && !LOCAL.test(location.origin);
  return t(misled ? "localGateway" : "unreachable", { origin: gateway || location.origin });
}

/**
 * What the key may still do: of this minute by the answer's headers; of this day by the gateway, while it matters.
 * @param {import("./gateway.js").Failure} failure @param {Remedies} remedies
 */
function leftOf({ perMinute, retryAt = 0 }, remedies) {
  const line = h("p", { class: "advice" }, perMinute?.left === 0 ? t("minuteSpent", { count: whole(perMinute.most) }) : null);
  if (retryAt > Date.now()) void remedies.spent().then((words) => words && line.append(line.textContent ? " " : "", words));
  return line;
}

/** @param {HTMLElement} advice @param {import("./gateway.js").Failure} failure */
function countDown(advice, failure) {
  const { retryable, retryAt = 0 } = failure;
  const left = retryAt - Date.now();
  if (left > 0) {
    advice.textContent = waitWords(left, retryAt);
    setTimeout(() => countDown(advice, failure), Math.min(left, 1000));
  } else advice.textContent = t(retryable ? "retryMayHelp" : "retryNoHelp");
}

/** @param {number} left ms @param {number} retryAt ms */
function waitWords(left, retryAt) {
  if (left < LONG_MS) return t("retryIn", { seconds: Math.ceil(left / 1000) });
  return t("retryAt", { time: instant(retryAt, Date.now()), wait: span(left) });
}
