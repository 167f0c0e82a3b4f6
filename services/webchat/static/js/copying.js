/** Copies text to the clipboard, by the old way where the page is no secure context. */

import { byId, fill, icon } from "./dom.js";
import { t } from "./words.js";

const SHOWN_MS = 1600;

/** @param {string} text @returns {Promise<boolean>} */
export async function copy(text) {
  if (navigator.clipboard) {
    try {
      await navigator.clipboard.writeText(text);
      return true;
    } catch {
      // not allowed: the old way may be
    }
  }
  return copySelected(text);
}

/** @param {string} text */
function copySelected(text) {
  const area = document.createElement("textarea");
  area.value = text;
  area.setAttribute("aria-hidden", "true");
  area.className = "off-screen";
  const focused = document.activeElement;
  document.body.appendChild(area);
  area.select();
  const copied = document.execCommand("copy"); // deprecated, and the only way over plain http
  area.remove();
  if (focused instanceof HTMLElement) focused.focus();
  return copied;
}

/** Copy, and show on the button that was pressed that it is done; say it, too. @param {Event} event @param {string} text */
export async function copyFrom(event, text) {
  const button = /** @type {HTMLElement} */ (event.currentTarget);
  if (!(await copy(text)) || button.dataset.copied !== undefined) return;
  const label = button.getAttribute("aria-label") ?? t("copy");
  button.dataset.copied = "";
  fill(button, icon("check"));
  button.setAttribute("aria-label", t("copied"));
  byId("status").textContent = t("copied");
  setTimeout(() => {
    delete button.dataset.copied;
    fill(button, icon("copy"));
    button.setAttribute("aria-label", label);
  }, SHOWN_MS);
}
