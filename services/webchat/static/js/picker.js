/** The model of this conversation: a button that says it, a list one types in to choose another. */

import { byId, fill, h, icon } from "./dom.js";
import { canChat } from "./models.js";
import { place } from "./popover.js";
import { bytes, t } from "./words.js";

/** @typedef {import("./gateway.js").Model} Model */

/** Longest name of a model that the gateway takes. */
const NAME_LENGTH = 256;

export class Picker {
  #button = byId("model");
  #panel = byId("models");
  #input = h("input", {
    class: "field",
    role: "combobox",
    "aria-expanded": "true",
    "aria-controls": "model-list",
    "aria-autocomplete": "list",
    "aria-label": t("findModel"),
    placeholder: t("findModel"),
    maxlength: NAME_LENGTH,
    autocomplete: "off",
    spellcheck: "false",
    autofocus: true, // by the popover itself, in the turn in which it opens: what is typed at once is typed here
  });
  #list = h("ul", { id: "model-list", role: "listbox", "aria-label": t("models") });
  #active = 0;

  /** @param {import("./chat.js").Chat} chat @param {import("./models.js").Models} models */
  constructor(chat, models) {
    this.chat = chat;
    this.models = models;
    fill(this.#panel, this.#input, this.#list);
    this.#button.addEventListener("click", () => void models.refresh());
    this.#panel.addEventListener("beforetoggle", (event) => this.#toggles(/** @type {ToggleEvent} */ (event).newState === "open"));
    this.#input.addEventListener("input", () => this.#draw(0));
    this.#input.addEventListener("keydown", (event) => this.#key(event));
    models.addEventListener("changed", () => this.#changed());
    for (const name of ["thread", "list"]) chat.addEventListener(name, () => this.#name());
    this.#name();
  }

  open() {
    this.#panel.showPopover();
  }

  /** @param {boolean} open */
  #toggles(open) {
    this.#button.setAttribute("aria-expanded", String(open));
    if (!open) return;
    this.#input.value = "";
    this.#draw(Math.max(0, this.#choices.findIndex((one) => one.name === this.#current)));
    place(this.#panel, this.#button);
  }

  get #current() {
    return this.models.meant(this.chat.open.model)?.name ?? this.chat.open.model;
  }

  /** Those that match what is typed; a name that nobody lists can be asked for, too. @returns {Model[]} */
  get #choices() {
    const wanted = this.#input.value.trim().toLowerCase();
    const found = (this.models.listed ?? []).filter((model) => model.name.toLowerCase().includes(wanted));
    if (wanted === "" || found.some((model) => model.name.toLowerCase() === wanted)) return found;
    return [...found, { name: this.#input.value.trim(), size: null, family: null, capabilities: [], loaded: false, default: false }];
  }

  #changed() {
    this.#name();
    if (this.#panel.matches(":popover-open")) this.#draw(this.#active);
  }

  #name() {
    const meant = this.models.meant(this.chat.open.model);
    const name = meant?.name ?? this.chat.open.model;
    fill(
      this.#button,
      h("span", { class: "model-name" }, name || t(this.models.none ? this.#noModel : "anyModel")),
      meant?.simulated ? h("span", { class: "badge" }, t("simulated")) : null,
      icon("chevron"),
    );
  }

  /** @param {number} active */
  #draw(active) {
    const choices = this.#choices;
    this.#active = Math.max(0, Math.min(active, choices.length - 1));
    const options = choices.map((model, index) => this.#option(model, index));
    fill(this.#list, options.length ? options : h("li", { class: "note", role: "option", "aria-disabled": "true" }, this.#noneWords()));
    this.#input.setAttribute("aria-activedescendant", choices.length ? `model-${this.#active}` : "");
    options[this.#active]?.scrollIntoView({ block: "nearest" });
  }

  get #noModel() {
    return this.models.gateway.apiKey.isThere ? "noModelForKey" : "noModel";
  }

  #noneWords() {
    if (this.models.listed) return `${t(this.#noModel)}.`;
    return t(this.models.refused?.code === "forbidden" ? "modelsRefused" : "modelsUnknown");
  }

  /** @param {Model} model @param {number} index */
  #option(model, index) {
    const able = canChat(model);
    const isListed = this.models.listed?.includes(model);
    const facts = isListed ? factsOf(model) : t("unlisted");
    return h(
      "li",
      {
        id: `model-${index}`,
        role: "option",
        class: index === this.#active ? "active" : null,
        "aria-selected": String(model.name === this.#current),
        "aria-disabled": able ? null : "true",
        onclick: () => this.#choose(index),
      },
      h("span", { class: "model-name" }, model.name),
      h("span", { class: "model-facts" }, able ? facts : t("cannotChat")),
      model.name === this.#current ? icon("check") : null,
    );
  }

  /** @param {KeyboardEvent} event */
  #key(event) {
    const moves = { ArrowDown: 1, ArrowUp: -1, PageDown: 5, PageUp: -5 }[event.key];
    if (moves) this.#draw(this.#active + moves);
    else if (event.key === "Enter") this.#choose(this.#active);
    else return;
    event.preventDefault();
  }

  /** @param {number} index */
  #choose(index) {
    const model = this.#choices[index];
    if (!model || !canChat(model)) return;
    void this.chat.change(this.chat.open, { model: model.default ? "" : model.name });
    this.#name();
    this.models.dispatchEvent(new Event("chosen"));
    this.#panel.hidePopover();
  }
}

/** @param {Model} model */
function factsOf(model) {
  const abilities = model.capabilities.filter((one) => ["vision", "tools", "thinking"].includes(one)).map((one) => t(`can_${one}`));
  return [model.size ? bytes(model.size) : "", t(model.loaded ? "loaded" : "notLoaded"), ...abilities].filter(Boolean).join(" · ");
}
