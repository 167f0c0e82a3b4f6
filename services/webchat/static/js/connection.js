/** Whether an answer could come: one dot and one word in the corner, from the streams and from the gateway's health. */

import { byId, fill, h } from "./dom.js";
import { t } from "./words.js";

/** While the page is looked at; an answer that fails says so at once. */
const ASK_EVERY_MS = 15_000;

/** @typedef {import("./gateway.js").Readiness | "waiting" | "streaming" | "reconnecting" | "offline" | "unauthorized"} State */

export class Connection {
  #place = byId("connection");
  /** @type {import("./gateway.js").Readiness} */
  #readiness = "ready";
  #drawn = "";

  /** @param {import("./chat.js").Chat} chat @param {import("./gateway.js").Gateway} gateway @param {(state: State) => void} changed */
  constructor(chat, gateway, changed) {
    this.chat = chat;
    this.gateway = gateway;
    this.changed = changed;
    for (const name of ["answer", "ended"]) chat.addEventListener(name, () => this.#draw());
    chat.addEventListener("ended", (event) => this.#ended(/** @type {CustomEvent<string>} */ (event).detail));
    gateway.apiKey.addEventListener("changed", () => this.#draw());
    addEventListener("online", () => void this.ask());
    addEventListener("offline", () => this.#draw());
    document.addEventListener("visibilitychange", () => void this.ask());
    setInterval(() => void this.ask(), ASK_EVERY_MS);
  }

  async ask() {
    if (document.hidden) return;
    if (this.chat.runs.size === 0) this.#readiness = await this.gateway.readiness();
    this.#draw();
  }

  /** An answer that failed knows more than was asked last. @param {string} id */
  #ended(id) {
    const answer = this.chat.tree.get(id);
    if (answer?.role === "assistant" && answer.failure) void this.ask();
  }

  /** @returns {{state: State, n?: number}} */
  get #state() {
    if (!navigator.onLine && this.#readiness === "unreachable") return { state: "offline" };
    const runs = [...this.chat.runs.values()];
    const back = runs.find((run) => run.phase?.phase === "reconnecting");
    if (back) return { state: "reconnecting", n: back.phase?.attempt };
    if (runs.some((run) => run.phase === null)) return { state: "streaming" };
    if (runs.length > 0) return { state: "waiting" };
    if (!navigator.onLine) return { state: "offline" };
    if (this.#readiness === "ready" && this.gateway.apiKey.wanted) return { state: "unauthorized" };
    return { state: this.#readiness };
  }

  #draw() {
    const { state, n } = this.#state;
    const words = t(`line_${state}`, { n: n ?? 1 });
    if (words === this.#drawn) return;
    this.#drawn = words;
    fill(this.#place, h("span", { class: `line-dot ${state}` }), h("span", { class: "line-words" }, words));
    this.#place.title = words;
    this.changed(state);
  }
}
