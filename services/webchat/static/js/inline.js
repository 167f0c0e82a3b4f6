/**
 * What stands within a line of Markdown, from the lexer's tokens to nodes. An allow-list: only what is written here
 * becomes an element, HTML in the text stays text, and a link leads to http, https or mailto, or nowhere.
 */

import { h, put } from "./dom.js";
import { setMath } from "./math.js";
import { t } from "./words.js";

/** @typedef {import("./libraries.js").Libraries} Libraries */
/** @typedef {any} Token marked's */

const SAFE = new Set(["http:", "https:", "mailto:"]);
/** @type {Record<string, string>} */
const ENTITIES = { amp: "&", lt: "<", gt: ">", quot: '"', apos: "'", nbsp: "\u00a0", copy: "©", hellip: "…", mdash: "—", ndash: "–", times: "×", rarr: "→", larr: "←" };

/** Append the nodes of `tokens` to `parent`. @param {Node} parent @param {Token[]} tokens @param {Libraries} libraries */
export function putInline(parent, tokens, libraries) {
  for (const token of tokens) {
    const make = INLINE[token.type];
    put(parent, make ? make(token, libraries) : String(token.raw ?? ""));
  }
}

/** @param {keyof HTMLElementTagNameMap} tag @returns {(token: Token, libraries: Libraries) => Node} */
const around = (tag) => (token, libraries) => {
  const element = h(tag);
  putInline(element, token.tokens ?? [], libraries);
  return element;
};

/** @type {Record<string, (token: Token, libraries: Libraries) => Node | string>} */
const INLINE = {
  text(token, libraries) {
    if (!token.tokens) return unescaped(token.text);
    const fragment = document.createDocumentFragment();
    putInline(fragment, token.tokens, libraries);
    return fragment;
  },
  escape: (token) => unescaped(token.text),
  strong: around("strong"),
  em: around("em"),
  del: around("del"),
  codespan: (token) => h("code", {}, token.text),
  br: () => h("br"),
  checkbox: (token) => h("input", { type: "checkbox", disabled: true, checked: Boolean(token.checked), "aria-label": token.checked ? "done" : "to do" }),
  link: (token, libraries) => link(token, libraries),
  image: (token) => image(token),
  html: (token) => String(token.raw),
  math: (token, libraries) => {
    const element = h("span", { class: token.display ? "math math-display" : "math" });
    void setMath(element, token.text, token.display, libraries);
    return element;
  },
};

/** @param {Token} token @param {Libraries} libraries */
function link(token, libraries) {
  const inside = document.createDocumentFragment();
  putInline(inside, token.tokens ?? [], libraries);
  const url = safeUrl(token.href);
  if (!url) return inside; // javascript:, data:, a path of ours: its text alone
  const host = url.protocol === "mailto:" ? url.pathname : url.host;
  const says = (inside.textContent ?? "").includes(host);
  return h("a", { href: url.href, rel: "noopener noreferrer nofollow", target: "_blank" }, inside, says ? null : h("span", { class: "link-host" }, host));
}

/** A picture from elsewhere is never loaded: its address would tell what was said here. @param {Token} token */
function image(token) {
  const url = safeUrl(token.href);
  const words = token.text || token.title || "";
  if (!url || url.protocol === "mailto:") return words;
  return h("a", { href: url.href, rel: "noopener noreferrer nofollow", target: "_blank", class: "image-link" }, t("imageLink", { host: url.host }), words ? ` (${words})` : "");
}

/** @param {unknown} href @returns {URL | null} */
export function safeUrl(href) {
  try {
    const url = new URL(unescaped(String(href)));
    return SAFE.has(url.protocol) ? url : null;
  } catch {
    return null;
  }
}

/** The lexer leaves character references as they were written. @param {string} text */
function unescaped(text) {
  return text.replace(/&(?:#(\d{1,7})|#[xX]([0-9a-fA-F]{1,6})|(\w{2,8}));/g, (written, decimal, hex, name) => {
    if (name) return ENTITIES[name] ?? written;
    const code = decimal ? Number(decimal) : parseInt(hex, 16);
    return code > 0 && code <= 0x10ffff ? String.fromCodePoint(code) : "\ufffd";
  });
}
