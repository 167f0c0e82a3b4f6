/** The open branch on the screen: one view a message, each drawn at most once a frame. */

import { AnswerView } from "./answer-view.js";
import { siblings } from "./conversation.js";
import { QuestionView } from "./question-view.js";

/** A hidden tab gets no frames, and its timers once a second. */
const HIDDEN_MS = 250;

export class Thread {
  /** @type {Map<string, AnswerView | QuestionView>} */
  #views = new Map();
  /** @type {Set<string>} */
  #dirty = new Set();
  #asked = false;
  /** Told after an answer was drawn. @type {(answer: import("./answer.js").Answer) => void} */
  ondraw = () => undefined;

  /**
   * @param {HTMLElement} element @param {import("./chat.js").Chat} chat @param {import("./libraries.js").Libraries} libraries
   * @param {import("./scrolling.js").Scrolling} scrolling @param {import("./answer-view.js").Actions} actions
   */
  constructor(element, chat, libraries, scrolling, actions) {
    this.element = element;
    this.chat = chat;
    this.libraries = libraries;
    this.scrolling = scrolling;
    this.actions = actions;
    chat.addEventListener("thread", () => this.show());
    chat.addEventListener("answer", (event) => this.#changed(/** @type {CustomEvent<string>} */ (event).detail));
    chat.addEventListener("ended", (event) => this.#changed(/** @type {CustomEvent<string>} */ (event).detail));
    element.addEventListener("redraw", () => this.show());
    document.addEventListener("visibilitychange", () => this.#draw());
  }

  /** Put the views of the open branch in place, and draw all of them. */
  show() {
    const messages = this.chat.thread;
    const wanted = new Set(messages.map((message) => message.id));
    for (const [id, view] of this.#views) {
      if (wanted.has(id)) continue;
      view.element.remove();
      this.#views.delete(id);
    }
    messages.forEach((message, index) => {
      const { element } = this.#viewOf(message);
      if (this.element.children[index] !== element) this.element.insertBefore(element, this.element.children[index] ?? null);
      this.#dirty.add(message.id);
    });
    this.#draw();
  }

  /** Draw all of it again: the Markdown library came. */
  refresh() {
    this.show();
  }

  /** @param {import("./conversation.js").Message} message */
  #viewOf(message) {
    const known = this.#views.get(message.id);
    if (known && (known instanceof QuestionView || known.answer === message)) return known;
    known?.element.remove();
    const made =
      message.role === "user" ? new QuestionView(message, this.actions) : new AnswerView(message, this.libraries, this.actions);
    this.#views.set(message.id, made);
    return made;
  }

  /** @param {string} id */
  #changed(id) {
    if (!this.#views.has(id)) return;
    this.#dirty.add(id);
    if (this.#asked) return;
    this.#asked = true;
    if (document.hidden) setTimeout(() => this.#draw(), HIDDEN_MS);
    else requestAnimationFrame(() => this.#draw());
  }

  #draw() {
    this.#asked = false;
    const dirty = [...this.#dirty];
    this.#dirty.clear();
    for (const id of dirty) {
      const view = this.#views.get(id);
      if (view instanceof QuestionView) view.draw(this.#versions(view.question));
      else if (view && !view.draw(this.chat.runs.get(id)?.phase ?? null, this.#versions(view.answer))) this.#changed(id);
      if (view instanceof AnswerView) this.ondraw(view.answer);
    }
    this.scrolling.grew();
  }

  /** @param {import("./conversation.js").Message} message */
  #versions(message) {
    const versions = siblings(this.chat.tree, message);
    const at = versions.indexOf(message);
    const turn = (/** @type {number} */ by) => this.actions.turnTo(versions[at + by].id);
    return { at, count: versions.length, turn };
  }
}
