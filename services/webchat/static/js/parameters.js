/** What a person may set for a conversation: shown in the drawer, checked while it is typed, kept with it. */

import { byId, fill, h, iconButton } from "./dom.js";
import { t, whole } from "./words.js";

/** @typedef {import("./conversation.js").Parameters} Parameters */

/** The gateway checks them again; these are its limits. @type {{name: keyof Parameters, min: number, max: number, step: number | "any"}[]} */
const NUMBERS = [
  { name: "temperature", min: 0, max: 2, step: "any" },
  { name: "top_p", min: 0, max: 1, step: "any" },
  { name: "num_predict", min: 1, max: 1_000_000, step: 1 },
  { name: "seed", min: 0, max: 2_147_483_647, step: 1 },
];
const SYSTEM_LENGTH = 100_000;

export class ParametersDrawer {
  #drawer = byId("drawer");
  #toggle = byId("drawer-toggle");

  /** @param {import("./chat.js").Chat} chat @param {import("./models.js").Models} models */
  constructor(chat, models) {
    this.chat = chat;
    this.models = models;
    this.#toggle.addEventListener("click", () => this.show(this.#drawer.hidden));
    this.#drawer.addEventListener("keydown", (event) => {
      if (event.key !== "Escape") return;
      event.stopPropagation();
      this.show(false);
    });
    chat.addEventListener("thread", () => this.#draw());
    models.addEventListener("changed", () => this.#drawThink());
    models.addEventListener("chosen", () => this.#drawThink());
    this.#draw();
    this.show(true); // it is made as it opens first
  }

  /** @param {boolean} open */
  show(open) {
    this.#drawer.hidden = !open;
    this.#toggle.setAttribute("aria-expanded", String(open));
    const first = matchMedia("(pointer: coarse)").matches ? "button" : "textarea"; // a phone's keyboard would cover it
    if (open) /** @type {HTMLElement | null} */ (this.#drawer.querySelector(first))?.focus();
    else this.#toggle.focus();
  }

  #draw() {
    const { parameters } = this.chat.open;
    const system = h("textarea", { class: "field", id: "p-system", rows: 5, maxlength: SYSTEM_LENGTH, dir: "auto", placeholder: t("p_system_hint") });
    system.value = parameters.system ?? "";
    system.addEventListener("change", () => this.#set("system", system.value.trim() === "" ? undefined : system.value));
    fill(
      this.#drawer,
      h("div", { class: "drawer-head" }, h("h2", {}, t("parameters")), iconButton("close", t("close"), () => this.show(false))),
      h("p", { class: "note" }, t("parametersNote")),
      h("label", { for: "p-system" }, t("p_system")),
      system,
      NUMBERS.map((one) => this.#number(one, parameters)),
      h("div", { id: "p-think-place" }),
      h("button", { type: "button", class: "text-button", onclick: () => this.#reset() }, t("reset")),
    );
    this.#drawThink();
  }

  /** @param {typeof NUMBERS[number]} field @param {Parameters} parameters */
  #number({ name, min, max, step }, parameters) {
    const note = h("p", { class: "field-note", id: `p-${name}-note` });
    const input = h("input", { class: "field", id: `p-${name}`, type: "number", min, max, step, inputmode: "decimal", placeholder: t("modelDefault"), "aria-describedby": note.id });
    input.value = String(parameters[name] ?? "");
    input.addEventListener("input", () => {
      const good = input.checkValidity() && !input.validity.badInput;
      note.textContent = good ? "" : t("between", { min: whole(min), max: whole(max) });
      input.setAttribute("aria-invalid", String(!good));
      if (good) this.#set(name, input.value === "" ? undefined : Number(input.value));
    });
    return h("div", { class: "field-row" }, h("label", { for: input.id }, t(`p_${name}`)), input, note);
  }

  #drawThink() {
    const place = this.#drawer.querySelector("#p-think-place");
    if (!place) return;
    const able = this.models.meant(this.chat.open.model)?.capabilities.includes("thinking");
    if (!able) return fill(place);
    const { think } = this.chat.open.parameters;
    const select = h(
      "select",
      { class: "field", id: "p-think" },
      [["", "modelDefault"], ["true", "on"], ["false", "off"]].map(([value, words]) => h("option", { value, selected: value === String(think ?? "") }, t(words))),
    );
    select.addEventListener("change", () => this.#set("think", select.value === "" ? undefined : select.value === "true"));
    fill(place, h("label", { for: "p-think" }, t("thinking")), select);
  }

  /** @param {keyof Parameters} name @param {string | number | boolean | undefined} value */
  #set(name, value) {
    const parameters = { ...this.chat.open.parameters, [name]: value };
    if (value === undefined) delete parameters[name];
    void this.chat.change(this.chat.open, { parameters });
  }

  #reset() {
    const { tools } = this.chat.open.parameters; // its switch is elsewhere
    void this.chat.change(this.chat.open, { parameters: tools ? { tools } : {} });
    this.#draw();
  }
}
