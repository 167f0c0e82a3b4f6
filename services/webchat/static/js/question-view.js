/** One question on the screen, and the box in which it can be changed. */

import { versionSwitch } from "./answer-view.js";
import { copyFrom } from "./copying.js";
import { fill, h, iconButton } from "./dom.js";
import { t } from "./words.js";

export class QuestionView {
  #body = h("div", { class: "bubble" });
  #footer = h("div", { class: "footer" });
  #drawn = "";

  /** @param {import("./conversation.js").Question} question @param {import("./answer-view.js").Actions} actions */
  constructor(question, actions) {
    this.question = question;
    this.actions = actions;
    this.element = h("article", { class: "message question", "data-id": question.id }, h("h2", { class: "off-screen" }, t("you")), this.#body, this.#footer);
  }

  /** @param {{at: number, count: number, turn: (by: number) => void}} versions */
  draw(versions) {
    const state = `${versions.at}/${versions.count}`;
    if (state === this.#drawn) return;
    this.#drawn = state;
    const { question } = this;
    const pictures = question.pictures.map(({ type, data, name }) => h("img", { src: `data:${type};base64,${data}`, alt: name }));
    fill(this.#body, pictures.length ? h("div", { class: "pictures" }, pictures) : null, question.text ? h("p", { class: "plain", dir: "auto" }, question.text) : null);
    fill(
      this.#footer,
      versionSwitch(versions),
      h("span", { class: "actions" }, iconButton("copy", t("copy"), (event) => copyFrom(event, question.text)), iconButton("edit", t("edit"), () => this.#beginEdit())),
    );
  }

  #beginEdit() {
    const area = h("textarea", { "aria-label": t("edit"), rows: Math.min(12, this.question.text.split("\n").length + 1), dir: "auto" });
    area.value = this.question.text;
    const leave = () => {
      this.#drawn = "";
      this.element.classList.remove("editing");
      this.element.dispatchEvent(new CustomEvent("redraw", { bubbles: true }));
    };
    const save = () => {
      leave();
      if (area.value.trim() !== "") this.actions.edit(this.question.id, area.value);
    };
    area.addEventListener("keydown", (event) => {
      if (event.key === "Escape") leave();
      else if (event.key === "Enter" && !event.shiftKey && !event.isComposing) save();
      else return;
      event.preventDefault();
      event.stopPropagation();
    });
    this.element.classList.add("editing");
    fill(this.#body, area);
    fill(
      this.#footer,
      h("button", { type: "button", class: "text-button", onclick: leave }, t("cancel")),
      h("button", { type: "button", class: "text-button primary", onclick: save }, t("saveEdit")),
    );
    area.focus();
  }
}
