/** The growing text of an answer: as Markdown where that can be drawn, else as it is. */

import { h } from "./dom.js";

export class TextView {
  /** @type {import("./markdown.js").MarkdownBlocks | null} */
  #blocks = null;
  #gaveUp = false;
  /** @type {Text | null} */
  #plain = null;

  /** @param {HTMLElement} element @param {import("./libraries.js").Libraries} libraries */
  constructor(element, libraries) {
    this.element = element;
    this.libraries = libraries;
  }

  /**
   * Show `text`, which begins with what was shown before.
   * @param {string} text @param {boolean} whole nothing will be added any more
   * @returns {boolean} whether it was drawn; false asks for a later call
   */
  show(text, whole) {
    const { markdown } = this.libraries;
    if (!markdown || this.#gaveUp) return this.#showPlain(text);
    if (!this.#blocks) {
      this.#plain = null;
      this.#blocks = new markdown.MarkdownBlocks(this.element, this.libraries, markdown.lexer);
    }
    try {
      return this.#blocks.show(text, whole);
    } catch {
      this.#gaveUp = true; // nested beyond what a stack holds: a hostile text is shown as it is
      return this.#showPlain(text);
    }
  }

  /** @param {string} text */
  #showPlain(text) {
    if (!this.#plain || !text.startsWith(this.#plain.data)) {
      this.#plain = document.createTextNode("");
      this.element.replaceChildren(h("div", { class: "plain" }, this.#plain));
    }
    this.#plain.appendData(text.slice(this.#plain.length));
    return true;
  }
}
