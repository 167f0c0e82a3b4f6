/** One answer on the screen: thinking, tools, text, how it ended, what one can do with it. Drawn at most once a frame. */

import { isEmpty } from "./answer.js";
import { AnswerBody } from "./answer-body.js";
import { copyFrom } from "./copying.js";
import { fill, h, icon, iconButton } from "./dom.js";
import { failureCard } from "./failure-card.js";
import { phaseWords } from "./phase.js";
import { factsLine, liveFacts, timeDetails } from "./timing-view.js";
import { span, t, whole } from "./words.js";

/** @typedef {import("./answer.js").Answer} Answer */

/** A number that changes faster cannot be read. */
const LIVE_EVERY_MS = 500;

/**
 * @typedef {object} Actions
 * @property {(id: string) => void} again
 * @property {(id: string, text: string) => void} edit
 * @property {(id: string) => void} turnTo
 * @property {(answer: Answer, call: string, approve: boolean) => Promise<string>} decide whether a tool runs; see tool-rows.js
 * @property {import("./failure-card.js").Remedies} remedies
 */

export class AnswerView {
  #thinkingText = h("div", { class: "thinking-text", dir: "auto" });
  #thinkingTitle = h("summary");
  #thinking = h("details", { class: "thinking", hidden: true }, this.#thinkingTitle, this.#thinkingText);
  #phase = h("p", { class: "phase", hidden: true });
  #end = h("div", { class: "end" });
  #footer = h("div", { class: "footer" });
  #wasSeenGrowing = false;
  #touched = false; // a person opened or closed the thinking: it is theirs from then on
  #endDrawn = "";
  #liveAt = 0;

  /**
   * @param {Answer} answer @param {import("./libraries.js").Libraries} libraries @param {Actions} actions
   */
  constructor(answer, libraries, actions) {
    this.answer = answer;
    this.actions = actions;
    this.body = new AnswerBody(libraries, (call, approve) => actions.decide(answer, call, approve));
    this.#thinkingTitle.addEventListener("click", () => (this.#touched = true));
    this.element = h(
      "article",
      { class: "message answer", "data-id": answer.id },
      h("h2", { class: "off-screen" }, t("appName")),
      this.#thinking,
      this.body.element,
      this.#phase,
      this.#end,
      this.#footer,
    );
  }

  /**
   * Show the answer as it is now.
   * @param {import("./answer.js").Phase | null} phase what it waits for
   * @param {{at: number, count: number, turn: (by: number) => void}} versions
   * @returns {boolean} whether all of it is drawn; false asks for a later call
   */
  draw(phase, versions) {
    const { answer } = this;
    const over = answer.status !== "streaming";
    this.#wasSeenGrowing ||= !over;
    this.element.setAttribute("aria-busy", String(!over));
    this.#drawThinking(over);
    const drawn = this.body.draw(answer, over);
    this.#drawPhase(over || saidByRows(phase) ? null : phase);
    if (over || versions.count > 1) this.#drawEnd(over, versions);
    else this.#drawLive();
    this.element.classList.toggle("growing", !over);
    return drawn;
  }

  /** @param {boolean} over */
  #drawThinking(over) {
    const { answer } = this;
    this.#thinking.hidden = answer.thinking === "";
    if (answer.thinking === "") return;
    const begun = over || answer.text !== "" || answer.tools.length > 0;
    const title = begun ? t("thoughtFor", { time: span(answer.thinkingMs ?? 0) }) : t("thinking");
    if (this.#thinkingTitle.textContent !== title) this.#thinkingTitle.textContent = title;
    if (!this.#touched) this.#thinking.open = !begun;
    const shown = this.#thinkingText.firstChild;
    if (shown instanceof Text && answer.thinking.startsWith(shown.data)) shown.appendData(answer.thinking.slice(shown.length));
    else this.#thinkingText.textContent = answer.thinking;
  }

  /** @param {import("./answer.js").Phase | null} phase */
  #drawPhase(phase) {
    this.#phase.hidden = phase === null;
    if (phase === null) return;
    const words = phaseWords(phase);
    if (this.#phase.textContent !== words) this.#phase.textContent = words;
  }

  /** @param {boolean} over @param {{at: number, count: number, turn: (by: number) => void}} versions */
  #drawEnd(over, versions) {
    const { answer } = this;
    const state = JSON.stringify([answer.status, answer.failure, answer.done, versions.at, versions.count]);
    if (state === this.#endDrawn) return;
    this.#endDrawn = state;
    fill(this.#end, over ? this.#endWords() : null, over && answer.failure ? this.#card(answer.failure) : null);
    fill(this.#footer, versionSwitch(versions), over ? this.#buttons() : null, over ? factsLine(answer) : null);
  }

  #drawLive() {
    const now = Date.now();
    if (now < this.#liveAt) return;
    this.#liveAt = now + LIVE_EVERY_MS;
    const facts = liveFacts(this.answer);
    if (facts !== null) fill(this.#footer, h("span", { class: "facts" }, facts));
  }

  #endWords() {
    const { answer } = this;
    const lines = [endOf(answer)];
    if (answer.headMissing) lines.push(t("headMissing"));
    if (answer.leftOut) lines.push(t("leftOut", { count: whole(answer.leftOut) }));
    if (answer.done?.stored === false) lines.push(t("notStored"));
    const skipped = answer.done?.skipped_lines;
    if (skipped) lines.push(t("skipped", { count: whole(skipped) }));
    return lines.filter((line) => line !== "").map((line) => h("p", { class: "note" }, line));
  }

  /** @param {import("./gateway.js").Failure} failure */
  #card(failure) {
    return failureCard(failure, this.actions.remedies, { isNews: this.#wasSeenGrowing, retry: () => this.actions.again(this.answer.id) });
  }

  #buttons() {
    const { answer, actions } = this;
    if (isEmpty(answer)) return null;
    const retryHere = answer.status === "interrupted" && !answer.failure;
    return h(
      "span",
      { class: "actions" },
      answer.text === "" ? null : iconButton("copy", t("copy"), (event) => copyFrom(event, answer.text)),
      retryHere
        ? h("button", { type: "button", class: "text-button", onclick: () => actions.again(answer.id) }, icon("retry"), t("retry"))
        : iconButton("retry", t("again"), () => actions.again(answer.id)),
      timeDetails(answer),
    );
  }
}

/** A tool's row says that it runs, or asks whether it may. @param {import("./answer.js").Phase | null} phase */
function saidByRows(phase) {
  return phase?.phase === "tool" || phase?.phase === "approval";
}

/** How an answer that did not come whole ended. @param {Answer} answer */
function endOf(answer) {
  if (answer.status === "stopped") return t("stoppedHere");
  if (answer.failure?.code === "unauthorized") return ""; // the rest may be held: its card says what it takes
  if (answer.status === "interrupted") return answer.finish === "abandoned" ? t("abandonedHere") : t("interruptedHere");
  if (answer.finish === "length") return t("lengthHere");
  return answer.finish === "content_filter" ? t("filteredHere") : "";
}

/** Turns between versions that stand in one place. @param {{at: number, count: number, turn: (by: number) => void}} versions */
export function versionSwitch({ at, count, turn }) {
  if (count < 2) return null;
  return h(
    "span",
    { class: "versions" },
    iconButton("left", t("previous"), () => turn(-1), { disabled: at === 0 }),
    h("span", {}, t("ofVersions", { n: at + 1, count })),
    iconButton("right", t("next"), () => turn(1), { disabled: at === count - 1 }),
  );
}
