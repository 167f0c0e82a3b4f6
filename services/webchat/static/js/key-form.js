/** Where a person gives the page the gateway's key: a field, what came of it, and a way to take it back. */

import { isKey, LONGEST_KEY } from "./api-key.js";
import { h } from "./dom.js";
import { span, t } from "./words.js";

export class KeyForm {
  /** Whether the gateway is being asked about what was typed here. */
  isTrying = false;
  #field;
  #note;
  #forget;

  /**
   * @param {string} id of the field
   * @param {import("./models.js").Models} models asked for, to see whether the key is good
   * @param {() => void} taken the key is good, as far as anybody can tell
   */
  constructor(id, models, taken) {
    this.models = models;
    this.apiKey = models.gateway.apiKey;
    this.taken = taken;
    this.#note = h("p", { class: "field-note", id: `${id}-note`, role: "alert" });
    this.#field = h("input", {
      id,
      class: "field",
      type: "password", // it may be read over a shoulder
      autocomplete: "off",
      spellcheck: "false",
      maxlength: LONGEST_KEY,
      "aria-describedby": this.#note.id,
    });
    this.#forget = h("button", { type: "button", class: "text-button", onclick: () => this.#forgets() }, t("keyForget"));
    const use = h("button", { type: "submit", class: "text-button primary" }, t("keyUse"));
    this.element = h(
      "form",
      { class: "key-form", onsubmit: (/** @type {SubmitEvent} */ event) => void this.#take(event) },
      h("label", { for: id }, t("key")),
      h("div", { class: "key-row" }, this.#field, use, this.#forget),
      this.#note,
    );
    this.apiKey.addEventListener("changed", () => this.#draw());
    this.#draw();
  }

  focus() {
    this.#field.focus();
  }

  /** Nothing typed, nothing said. */
  clear() {
    this.#field.value = "";
    this.#say("");
  }

  #draw() {
    this.#field.placeholder = this.apiKey.isThere ? this.apiKey.publicPart || t("keyIsThere") : t("keyExample");
    this.#forget.hidden = !this.apiKey.isThere;
  }

  /** @param {string} words */
  #say(words) {
    this.#note.textContent = words;
    this.#field.setAttribute("aria-invalid", String(words !== ""));
  }

  #forgets() {
    this.clear();
    this.apiKey.become("");
    this.#field.focus(); // the button is gone
  }

  /** @param {SubmitEvent} event */
  async #take(event) {
    event.preventDefault();
    const text = this.#field.value.trim();
    if (!isKey(text)) return this.#say(t("keyShape"));
    this.#say("");
    this.isTrying = true;
    this.apiKey.become(text);
    await this.models.refresh();
    this.isTrying = false;
    const against = wordsAgainst(this.models.refused);
    this.#say(against);
    if (against !== "") return this.#field.select();
    this.clear();
    this.taken();
  }
}

/** What a refusal says against the key. @param {import("./gateway.js").Failure | null} refused */
function wordsAgainst(refused) {
  if (refused?.code === "unauthorized") return t("keyRefused");
  if (refused?.code === "rate_limited") return t("keySlowed", { wait: span((refused.retryAt ?? Date.now()) - Date.now()) });
  return ""; // it may not list the models, or nobody is there to ask
}
