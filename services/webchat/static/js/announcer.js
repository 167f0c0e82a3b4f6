/**
 * What a screen reader is told of an answer: that it began, and that it is complete; sentences in between only where
 * a person wants them. The growing text itself is no live region: it would be read again with each word.
 */

import { byId } from "./dom.js";
import { t, whole, wordCount } from "./words.js";

const SENTENCES_EVERY_MS = 3000;

export class Announcer {
  #region = byId("status");
  #toldUpTo = 0;
  #toldAt = 0;
  #of = "";
  /** The call that was said to wait for a person. */
  #askedFor = "";

  /** @param {import("./settings.js").Settings} settings */
  constructor(settings) {
    this.settings = settings;
  }

  /** @param {import("./answer.js").Answer} answer of the open conversation, whenever it changed */
  changed(answer) {
    const { speak } = this.settings.choices;
    if (speak === "off") return;
    if (this.#of !== answer.id) {
      if (answer.status !== "streaming") return;
      this.#of = answer.id;
      this.#toldUpTo = 0;
      this.#toldAt = Date.now();
      this.say(t("generating"));
    }
    const asked = answer.tools.findLast((tool) => tool.approval === "needed" && tool.result === undefined);
    if (asked && asked.id !== this.#askedFor) this.say(t("toolAsk", { name: asked.name }));
    this.#askedFor = asked?.id ?? "";
    if (speak === "sentences" && answer.status === "streaming") this.#sentences(answer.text);
  }

  /** @param {import("./answer.js").Answer} answer */
  ended(answer) {
    if (this.settings.choices.speak === "off" || this.#of !== answer.id) return;
    this.#of = "";
    if (answer.status === "sent") this.say(t("complete", { count: whole(wordCount(answer.text)) }));
    else if (answer.status === "stopped") this.say(t("stoppedHere"));
  }

  /** @param {string} words */
  say(words) {
    this.#region.textContent = words;
  }

  /** @param {string} text */
  #sentences(text) {
    const end = text.search(/[.!?…。]\s[^.!?…。]*$/u) + 1;
    const now = Date.now();
    if (end <= this.#toldUpTo || now - this.#toldAt < SENTENCES_EVERY_MS) return;
    this.say(text.slice(this.#toldUpTo, end).trim());
    this.#toldUpTo = end;
    this.#toldAt = now;
  }
}
