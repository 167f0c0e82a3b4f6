/** A block of code: its language, a button that copies it, and colours once it is whole. */

import { h, iconButton, put } from "./dom.js";
import { copyFrom } from "./copying.js";
import { t } from "./words.js";

/** Longest block that gets colours: beyond it they cost a visible pause. */
const MOST_CHARACTERS = 50_000;

/** @param {string} code @param {string} language @returns {HTMLElement} */
export function codeBlock(code, language) {
  const text = h("code", {}, code);
  return h(
    "div",
    { class: "code-block" },
    h(
      "div",
      { class: "code-head" },
      h("span", { class: "code-language" }, language),
      iconButton("copy", t("copyCode"), (event) => copyFrom(event, text.textContent ?? ""), { class: "icon-button copy-code" }),
    ),
    h("pre", { tabindex: "0", dir: "ltr" }, text),
  );
}

/** Put longer text into a block that is still being written. @param {HTMLElement} block @param {string} code */
export function growCode(block, code) {
  const text = block.querySelector("code");
  if (text && text.textContent !== code) text.textContent = code;
}

/** Colour a block that is whole. @param {HTMLElement} block @param {string} language @param {import("./libraries.js").Libraries} libraries */
export async function colour(block, language, libraries) {
  const text = block.querySelector("code");
  const code = text?.textContent ?? "";
  if (!text || !language || code.length > MOST_CHARACTERS) return;
  const marked = await libraries.highlight(code, language).catch(() => null);
  const nodes = marked === null ? null : nodesOf(marked);
  if (nodes && nodes.textContent === code && text.textContent === code) text.replaceChildren(nodes);
}

const PIECE = /<span class="((?:hljs-)?[\w -]+)">|(<\/span>)|&(amp|lt|gt|quot|#x27);|([^<&]+)/y;
/** @type {Record<string, string>} */
const CHARACTERS = { amp: "&", lt: "<", gt: ">", quot: '"', "#x27": "'" };

/**
 * Read highlight.js' mark-up, which is spans with a class, text and five references; null where it is anything else.
 * The page never gives a string to the browser's HTML parser, not even this one.
 * @param {string} marked
 */
function nodesOf(marked) {
  const root = document.createDocumentFragment();
  /** @type {Node[]} */
  const open = [root];
  PIECE.lastIndex = 0;
  while (PIECE.lastIndex < marked.length) {
    const piece = PIECE.exec(marked);
    if (!piece) return null;
    const [, opened, closed, reference, text] = piece;
    const inside = open[open.length - 1];
    if (opened !== undefined) {
      const span = h("span", { class: opened });
      inside.appendChild(span);
      open.push(span);
    } else if (closed !== undefined) {
      open.pop();
      if (open.length === 0) return null;
    } else put(inside, reference !== undefined ? CHARACTERS[reference] : text);
  }
  return root;
}
