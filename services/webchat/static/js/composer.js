/** Where a question is written: grows with it, keeps it while an answer runs, sends it or stops the answer. */

import { fill, icon } from "./dom.js";
import { t } from "./words.js";

const TALLEST = 240; // CSS pixels; then it scrolls

export class Composer {
  #area;
  #button;
  /** @type {boolean | null} */
  #running = null;
  /** What was put back and is there still, if nobody touched it. */
  #draft = "";

  /**
   * @param {HTMLFormElement} form
   * @param {{send: (text: string) => boolean, stop: () => void, early: () => void}} actions `send` says whether it was
   *   taken; `early`: a person wants to send while an answer runs
   */
  constructor(form, actions) {
    this.actions = actions;
    this.#area = /** @type {HTMLTextAreaElement} */ (form.querySelector("textarea"));
    this.#button = /** @type {HTMLButtonElement} */ (form.querySelector(".send"));
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      if (this.#running) actions.stop();
      else this.#send();
    });
    this.#area.addEventListener("input", () => this.#fit());
    this.#area.addEventListener("keydown", (event) => this.#key(event));
    this.show(false);
  }

  /** Whether an answer runs: the button stops it then. @param {boolean} running */
  show(running) {
    if (running === this.#running) return;
    this.#running = running;
    this.#button.setAttribute("aria-label", t(running ? "stop" : "send"));
    this.#button.title = t(running ? "stop" : "send");
    this.#button.classList.toggle("stops", running);
    fill(this.#button, icon(running ? "stop" : "send"));
  }

  /** Put the cursor there; not on a phone, where it would open the keyboard over what one came to read. */
  focus() {
    if (!matchMedia("(pointer: coarse)").matches) this.#area.focus();
  }

  /** Put a draft there, in the place of nothing, or of one that nobody touched. @param {string} text */
  putBack(text) {
    if (this.#area.value !== this.#draft) return;
    this.#area.value = this.#draft = text;
    this.#fit();
  }

  /** @param {KeyboardEvent} event */
  #key(event) {
    const newLine = event.shiftKey || event.isComposing || matchMedia("(pointer: coarse)").matches;
    if (event.key !== "Enter" || newLine) return;
    event.preventDefault();
    if (!this.#running) this.#send();
    else if (this.#area.value.trim() !== "") this.actions.early(); // what is typed meanwhile stays a draft
  }

  #send() {
    if (!this.actions.send(this.#area.value)) return;
    this.#area.value = this.#draft = "";
    this.#fit();
  }

  #fit() {
    this.#area.style.height = "auto";
    this.#area.style.height = `${Math.min(TALLEST, this.#area.scrollHeight)}px`;
  }
}
