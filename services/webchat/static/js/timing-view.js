/** The line under an answer: how fast it came; and the popover that says where its time went, and who answered. */

import { liveRate } from "./answer.js";
import { copyFrom } from "./copying.js";
import { h, iconButton } from "./dom.js";
import { place } from "./popover.js";
import { partsOf } from "./timing.js";
import { span, t, tenth, whole } from "./words.js";

/** @typedef {import("./answer.js").Answer} Answer */

/** The line under an answer that is over. @param {Answer} answer */
export function factsLine(answer) {
  return h("span", { class: "facts" }, factsOf(answer).join(" · "));
}

/** The line under an answer that grows; null until there is something to measure. @param {Answer} answer */
export function liveFacts(answer) {
  const rate = liveRate(answer);
  return rate === null ? null : t("liveRate", { rate: tenth(rate) });
}

/** @param {Answer} answer */
function factsOf(answer) {
  const { timing, usage, gateway } = answer.done ?? {};
  const ttft = gateway?.ttft_ms ?? timing?.ttft_ms;
  const { elsewhere, dropped } = servedBy(answer);
  return [
    answer.model,
    elsewhere === "" ? "" : t("answeredBy", { server: elsewhere }),
    dropped.length > 0 ? t("droppedCount", { count: dropped.length }) : "",
    typeof ttft === "number" ? t("firstToken", { time: span(ttft) }) : "",
    typeof timing?.tokens_per_s === "number" ? t("rate", { rate: tenth(timing.tokens_per_s) }) : "",
    typeof usage?.output_tokens === "number" ? t("tokens", { count: whole(usage.output_tokens) }) : "",
  ].filter((fact) => fact !== "");
}

/** The button that opens the popover, and the popover. @param {Answer} answer */
export function timeDetails(answer) {
  const parts = partsOf(answer.done);
  if (parts.length === 0 && !answer.stream) return null;
  const id = `time-${answer.id}`;
  const panel = h(
    "div",
    { id, popover: "auto", class: "popover time", role: "dialog", "aria-label": t("whereTime") },
    h("h3", {}, t("whereTime")),
    parts.length ? bar(parts) : h("p", { class: "note" }, t("noTimes")),
    parts.length ? legend(parts) : null,
    identities(answer),
  );
  const button = iconButton("info", t("whereTime"), () => place(panel, button), { popovertarget: id });
  return h("span", {}, button, panel);
}

/** @param {import("./timing.js").Part[]} parts */
function bar(parts) {
  return h(
    "div",
    { class: "time-bar", "aria-hidden": "true" },
    parts.map(({ name, ms }) => {
      const piece = h("span", { class: `part part-${name}` });
      piece.style.flexGrow = String(ms);
      return piece;
    }),
  );
}

/** @param {import("./timing.js").Part[]} parts */
function legend(parts) {
  const total = parts.reduce((sum, part) => sum + part.ms, 0);
  const row = (/** @type {import("./timing.js").Part} */ { name, ms }) =>
    h("div", {}, h("dt", {}, h("span", { class: `dot part-${name}` }), t(`part_${name}`)), h("dd", {}, span(ms)));
  return h("dl", { class: "time-legend" }, parts.map(row), h("div", { class: "sum" }, h("dt", {}, t("part_sum")), h("dd", {}, span(total))));
}

/** What an operator searches for. @param {Answer} answer */
function identities(answer) {
  const { by, attempts, dropped } = servedBy(answer);
  const rows = [
    ["servedBy", by],
    ["droppedOptions", dropped.join(", ")],
    ["toolsOffered", answer.offered?.join(", ")],
    ["attempts", attempts > 1 ? String(attempts) : ""],
    ["idStream", answer.stream],
    ["idRequest", answer.requestId],
  ];
  return h(
    "dl",
    { class: "identities" },
    rows
      .filter(([, value]) => value)
      .map(([key, value]) =>
        h("div", {}, h("dt", {}, t(String(key))), h("dd", {}, h("code", {}, value), iconButton("copy", t("copyThis", { what: t(String(key)) }), (event) => copyFrom(event, String(value))))),
      ),
  );
}

/**
 * Who answered, and what they could not take. A server that speaks Ollama's is the operator's own; `elsewhere` names another.
 * @param {Answer} answer @returns {{by: string, elsewhere: string, attempts: number, dropped: string[]}}
 */
function servedBy(answer) {
  const told = answer.done?.served_by ?? {};
  const [provider, server, model] = [told.provider, told.server, told.model].map((one) => (typeof one === "string" ? one : ""));
  const isOwn = provider === "" || provider === "ollama";
  return {
    by: [...new Set([provider, server, model])].filter(Boolean).join(" · "),
    elsewhere: isOwn ? "" : [server || provider, model === answer.model ? "" : `(${model})`].filter(Boolean).join(" "),
    attempts: (Number(told.attempts) || 0) - ((Number(answer.done?.turns) || 1) - 1), // each turn is asked once at least
    dropped: Array.isArray(told.dropped) ? told.dropped.map(String) : [],
  };
}
