/** Lets the model of this chat use the tools that run beside it, where the gateway has some; off until a person says so. */

import { byId } from "./dom.js";
import { t } from "./words.js";

export class ToolSwitch {
  #button = byId("tools");

  /** @param {import("./chat.js").Chat} chat @param {import("./models.js").Models} models */
  constructor(chat, models) {
    this.chat = chat;
    this.models = models;
    this.#button.addEventListener("click", () => this.#turn());
    for (const name of ["thread", "list"]) chat.addEventListener(name, () => this.#draw());
    for (const name of ["changed", "chosen"]) models.addEventListener(name, () => this.#draw());
    this.#draw();
  }

  #turn() {
    const { tools, ...others } = this.chat.open.parameters;
    if (this.#cannot && !tools) return;
    void this.chat.change(this.chat.open, { parameters: tools ? others : { ...others, tools: true } });
  }

  /** Whether the chosen model is known to use none. */
  get #cannot() {
    const can = this.models.meant(this.chat.open.model)?.capabilities ?? [];
    return can.length > 0 && !can.includes("tools");
  }

  #draw() {
    const { serverTools } = this.models;
    const on = this.chat.open.parameters.tools === true;
    this.#button.hidden = serverTools === null && !on;
    this.#button.setAttribute("aria-pressed", String(on));
    this.#button.setAttribute("aria-disabled", String(this.#cannot && !on));
    const what = t(this.#cannot ? "toolsCannot" : on ? "toolsOn" : "toolsOff");
    this.#button.title = Array.isArray(serverTools) && !this.#cannot ? t("toolsNamed", { what, names: serverTools.join(", ") }) : what;
  }
}
