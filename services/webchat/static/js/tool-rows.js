/** One row for each tool that the model asked for: name, arguments, what came of it, how long it took. */

import { fill, h, icon, put } from "./dom.js";
import { span, t } from "./words.js";

export class ToolRows {
  element = h("div", { class: "tools" });
  #drawn = "";

  /** @param {import("./answer.js").Answer} answer */
  draw({ tools, status, finish, demo }) {
    const over = status !== "streaming";
    const state = `${tools.length} ${tools.filter((tool) => tool.result !== undefined).length} ${over}`;
    if (tools.length === 0 || state === this.#drawn) return;
    this.#drawn = state;
    const notRun = over && (demo || finish === "tool_calls");
    fill(this.element, tools.map((tool) => row(tool, over, Boolean(notRun))));
  }
}

/** @param {import("./answer.js").ToolUse} tool @param {boolean} over @param {boolean} notRun */
function row(tool, over, notRun) {
  const answered = tool.result !== undefined;
  const state = answered ? (tool.ok ? span(tool.ms ?? 0) : t("toolFailed")) : notRun || over ? t("toolNotRun") : t("toolRunning");
  const details = h(
    "details",
    { class: `tool ${answered ? (tool.ok ? "ok" : "bad") : over ? "not-run" : "running"}` },
    h("summary", {}, icon("tool"), h("span", { class: "tool-name" }, tool.name), h("span", { class: "tool-state" }, state)),
    h("p", { class: "label" }, t("toolArguments")),
    h("pre", { tabindex: "0" }, pretty(tool.args)),
  );
  if (answered) put(details, h("p", { class: "label" }, t("toolResult")), h("pre", { tabindex: "0" }, tool.result));
  return details;
}

/** @param {unknown} args */
function pretty(args) {
  return JSON.stringify(args, null, 2) ?? "";
}
