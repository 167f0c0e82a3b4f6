/** Keys that work anywhere on the page. Ctrl is Cmd on a Mac. */

import { shown } from "./dialogs.js";
import { h } from "./dom.js";
import { t } from "./words.js";

/** @typedef {{stop: () => boolean, startNew: () => void, search: () => void, copyAnswer: () => void, copyCode: () => void, model: () => void}} Commands */

/** What the help lists, in this order: keys, then the name of its words. */
const LISTED = [
  ["Enter", "keySend"],
  ["Shift + Enter", "keyNewLine"],
  ["Esc", "keyStop"],
  ["Ctrl + Shift + O", "newChat"],
  ["Ctrl + K", "search"],
  ["Ctrl + M", "keyModel"],
  ["Ctrl + Shift + C", "keyCopyAnswer"],
  ["Ctrl + Shift + ;", "keyCopyCode"],
  ["Ctrl + /", "keyHelp"],
];

/** @param {Commands} commands */
export function listenForShortcuts(commands) {
  /** @type {Record<string, () => void>} */
  const withShift = { KeyO: commands.startNew, KeyC: commands.copyAnswer, Semicolon: commands.copyCode };
  /** @type {Record<string, () => void>} */
  const plain = { KeyK: commands.search, KeyM: commands.model, Slash: help };
  addEventListener("keydown", (event) => {
    if (event.isComposing || document.querySelector("dialog[open]")) return;
    if (event.key === "Escape") {
      if (!document.querySelector(":popover-open") && commands.stop()) event.preventDefault();
      return;
    }
    if (!(event.ctrlKey || event.metaKey) || event.altKey) return;
    const command = (event.shiftKey ? withShift : plain)[event.code];
    if (!command) return;
    event.preventDefault();
    command();
  });
}

export function help() {
  const rows = LISTED.map(([keys, words]) => h("div", {}, h("dt", {}, keys.split(" + ").map((key) => h("kbd", {}, key))), h("dd", {}, t(words))));
  shown(t("shortcuts"), h("dl", { class: "shortcut-list" }, rows));
}
