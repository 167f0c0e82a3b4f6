/** One row for each tool that the model asked for: name, arguments, who allowed it, what came of it, how long it took. */

import { fill, h, icon, put } from "./dom.js";
import { span, t } from "./words.js";

/** @typedef {import("./answer.js").ToolUse} ToolUse */
/** @typedef {(call: string, approve: boolean) => Promise<string>} Decide tells the gateway; returns why it was not taken, or "" */

export class ToolRows {
  element = h("div", { class: "tools" });
  /** @type {Map<string, ToolRow>} */
  #rows = new Map();

  /** @param {Decide} decide */
  constructor(decide) {
    this.decide = decide;
  }

  /** @param {ToolUse[]} tools @param {import("./answer.js").Answer} answer that they are part of */
  draw(tools, { status, finish, demo }) {
    const over = status !== "streaming";
    for (const tool of tools) {
      let row = this.#rows.get(tool.id);
      if (!row) this.#rows.set(tool.id, (row = new ToolRow(this.decide)));
      put(this.element, row.element.isConnected ? null : row.element);
      row.draw(tool, stateOf(tool, over, Boolean(over && (demo || finish === "tool_calls"))));
    }
  }
}

/** @typedef {"asked" | "running" | "ok" | "bad" | "refused" | "expired" | "not-run" | "cut"} State */

/** @param {ToolUse} tool @param {boolean} over the answer is @param {boolean} handedOut the client was to run it @returns {State} */
function stateOf(tool, over, handedOut) {
  if (tool.result !== undefined) return tool.approval === "refused" || tool.approval === "expired" ? tool.approval : tool.ok ? "ok" : "bad";
  if (over) return tool.ours && !handedOut ? "cut" : "not-run";
  return tool.approval === "needed" ? "asked" : "running";
}

/** Its open and closed, and the place of the cursor, are a person's: a change is drawn into what stands there. */
class ToolRow {
  #state = h("span", { class: "tool-state" });
  #name = h("span", { class: "tool-name" });
  #summary = h("summary", {}, icon("tool"), this.#name, this.#state);
  #args = h("pre", { tabindex: "0" });
  #result = h("div");
  #details = h("details", {}, this.#summary, h("p", { class: "label" }, t("toolArguments")), this.#args, this.#result);
  #approval = h("div");
  element = h("div", {}, this.#details, this.#approval);
  #drawn = "";

  /** @param {Decide} decide */
  constructor(decide) {
    this.decide = decide;
  }

  /** @param {ToolUse} tool @param {State} state */
  draw(tool, state) {
    if (state === this.#drawn) return;
    const wasAsked = this.#drawn === "asked";
    this.#drawn = state;
    const hadFocus = this.#approval.contains(document.activeElement);
    this.element.className = `tool ${state}`;
    this.#name.textContent = tool.name;
    this.#args.textContent = JSON.stringify(tool.args, null, 2) ?? "";
    this.#state.textContent = wordsOf(tool, state);
    if (state === "asked") this.#details.open = true; // who allows it sees what
    else if (wasAsked) this.#details.open = false;
    fill(this.#approval, state === "asked" ? this.#question(tool) : null);
    if (hadFocus) this.#summary.focus(); // the button that was pressed is gone
    if (tool.result !== undefined) fill(this.#result, h("p", { class: "label" }, t("toolResult")), h("pre", { tabindex: "0" }, tool.result));
  }

  /** @param {ToolUse} tool */
  #question(tool) {
    const words = h("p", { role: "status" }, t("toolAsk", { name: tool.name }));
    const decide = async (/** @type {boolean} */ approve) => {
      for (const button of buttons) button.setAttribute("aria-disabled", "true");
      words.textContent = t(approve ? "toolAllowing" : "toolRefusing");
      const against = await this.decide(tool.id, approve);
      if (against === "") return; // what comes of it, the stream says
      words.textContent = against;
      for (const button of buttons) button.removeAttribute("aria-disabled");
    };
    const button = (/** @type {string} */ kind, /** @type {string} */ key, /** @type {boolean} */ approve) =>
      h("button", { type: "button", class: `text-button ${kind}`, onclick: (/** @type {MouseEvent} */ event) => isOff(event) || void decide(approve) }, t(key));
    const buttons = [button("primary", "toolAllow", true), button("", "toolRefuse", false)];
    return h("div", { class: "approval", role: "group", "aria-label": t("toolAskLabel", { name: tool.name }) }, words, h("div", { class: "decide" }, buttons));
  }
}

/** @param {MouseEvent} event */
function isOff({ currentTarget }) {
  return /** @type {HTMLElement} */ (currentTarget).hasAttribute("aria-disabled");
}

/** @param {ToolUse} tool @param {State} state */
function wordsOf(tool, state) {
  const took = tool.ms ? ` · ${span(tool.ms)}` : "";
  if (state === "ok") return span(tool.ms ?? 0);
  if (state === "bad") return t("toolFailed") + took;
  return t({ asked: "approval", running: "toolRunning", refused: "toolRefused", expired: "toolExpired", "not-run": "toolNotRun", cut: "toolCut" }[state]);
}
