/** Questions to the person, one at a time, over the page. */

import { h } from "./dom.js";
import { t } from "./words.js";

/** Longest title a person can give. */
const TITLE_LENGTH = 200;

/**
 * Ask, and return what was typed ("" where nothing is to be typed), or null where the person declined.
 * @param {{title: string, text?: string, value?: string, confirm: string, danger?: boolean}} question
 * @returns {Promise<string | null>}
 */
export function asked({ title, text, value, confirm, danger }) {
  const input = value === undefined ? null : h("input", { class: "field", value, maxlength: TITLE_LENGTH, "aria-label": title });
  const form = h(
    "form",
    { method: "dialog" },
    h("h2", {}, title),
    text ? h("p", {}, text) : null,
    input,
    h(
      "div",
      { class: "dialog-buttons" },
      h("button", { type: "button", class: "text-button", onclick: () => dialog.close("no") }, t("cancel")),
      h("button", { type: "submit", class: `text-button ${danger ? "danger" : "primary"}`, value: "yes" }, confirm),
    ),
  );
  const dialog = h("dialog", { class: "dialog", "aria-label": title }, form);
  return new Promise((resolve) => {
    dialog.addEventListener("close", () => {
      resolve(dialog.returnValue === "yes" ? (input?.value ?? "") : null);
      dialog.remove();
    });
    document.body.appendChild(dialog);
    dialog.showModal();
    input?.select();
  });
}

/** Tell something that asks for no answer. @param {string} title @param {(Node | string)[]} content */
export function shown(title, ...content) {
  const close = h("button", { type: "submit", class: "text-button primary" }, t("close"));
  const dialog = h("dialog", { class: "dialog", "aria-label": title }, h("form", { method: "dialog" }, h("h2", {}, title), ...content, h("div", { class: "dialog-buttons" }, close)));
  dialog.addEventListener("close", () => dialog.remove());
  document.body.appendChild(dialog);
  dialog.showModal();
}
