/**
 * One answer on its way to this tab: read from the gateway if no other tab does, else heard from that tab.
 * When that tab goes, this one takes over where it stopped.
 */

import { take } from "./answer.js";
import { Following } from "./following.js";
import { holdPlace } from "./leases.js";

/** A reload loses at most so much, and gets it again from the stream's log. */
const KEEP_EVERY_MS = 700;

/** @typedef {import("./answer.js").Answer} Answer */
/** @typedef {import("./answer.js").Phase} Phase */

/**
 * @typedef {object} Surroundings
 * @property {import("./gateway.js").Gateway} gateway
 * @property {ReturnType<import("./leases.js").makeLeases>} leases
 * @property {import("./tabs.js").Tabs} tabs
 * @property {import("./store.js").Store} store
 * @property {(run: Run) => void} changed
 * @property {(signal: AbortSignal) => Promise<Response | null>} [ask] see following.js
 */

export class Run {
  #left = new AbortController();
  /** @type {Following | null} */
  #following = null;
  #keepAt = 0;
  #discarded = false;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #keeping;
  /** @type {Phase | null} what it waits for */
  phase = { phase: "asking" };
  /** The answer's last number when that was told: what comes later ends it. */
  #phaseAt = 0;

  /** @param {Answer} answer @param {Surroundings} around */
  constructor(answer, around) {
    this.answer = answer;
    this.around = around;
  }

  /** Whether this tab reads the stream itself. */
  get follows() {
    return this.#following !== null;
  }

  /** Return when the answer is over, whoever read it. */
  async end() {
    const { leases, tabs } = this.around;
    tabs.tell({ kind: "want", id: this.answer.id }); // whoever has it, say how far you are
    try {
      const release = await leases.hold(`sluice-answer-${this.answer.id}`, this.#left.signal);
      await this.#follow().finally(release);
    } catch (error) {
      if (!this.#left.signal.aborted) throw error;
    }
    this.#over();
  }

  async #follow() {
    const { answer, around } = this;
    if (answer.status !== "streaming") return; // the other tab had read it to its end
    const waiting = () => this.#waits({ phase: "place" });
    const release = await holdPlace(around.leases, this.#left.signal, waiting);
    try {
      this.#following = new Following(around.gateway, answer, {
        changed: () => this.#grew(),
        phase: (phase) => this.#waits(phase),
        ask: around.ask,
        heard: (event, before) => around.tabs.tell({ kind: "heard", id: answer.id, before, event }),
      });
      await this.#following.run();
      around.tabs.tell({ kind: "answer", answer });
    } finally {
      this.#following = null;
      release();
    }
  }

  /** Stop the answer: what is here stays as it is, from this moment on. */
  stop() {
    const { answer, around } = this;
    if (answer.status !== "streaming") return;
    answer.status = "stopped";
    answer.finish = "cancelled";
    delete answer.request;
    this.#left.abort();
    this.#following?.leave();
    if (answer.stream) around.gateway.cancel(answer.stream).catch(() => undefined); // gone already, or unreachable: it ends as abandoned
    around.tabs.tell({ kind: "answer", answer });
    this.#over();
  }

  /** Stop it, and store nothing of it any more: its conversation was deleted. */
  discard() {
    this.#discarded = true;
    this.stop();
  }

  /** Another tab read this. @param {number} before @param {import("./sse.js").ServerSentEvent} event */
  heard(before, event) {
    if (this.follows) return;
    if (before > this.answer.last) return this.around.tabs.tell({ kind: "want", id: this.answer.id }); // missed some
    const phase = take(this.answer, event, Date.now());
    if (phase) this.#wait(phase);
    this.#changed();
  }

  /** Another tab says what it waits for. @param {Phase} phase */
  waits(phase) {
    if (this.follows) return;
    this.#wait(phase);
    this.around.changed(this);
  }

  /** Another tab says how far it is, or that it is over. @param {Answer} answer */
  caughtUp(answer) {
    const over = this.answer.status === "streaming" && answer.status !== "streaming";
    if (answer.last < this.answer.last && !over) return;
    Object.assign(this.answer, answer);
    if (over) {
      this.#left.abort();
      this.#following?.leave();
    }
    this.#changed();
  }

  /** Store it now: the page may go. */
  async keep() {
    clearTimeout(this.#keeping);
    this.#keeping = undefined;
    this.#keepAt = Date.now();
    if (this.#discarded) return;
    await this.around.store.keepMessages({ ...this.answer });
  }

  #grew() {
    this.#changed();
    if (this.#keeping !== undefined || this.answer.status !== "streaming") return;
    const due = this.#keepAt + KEEP_EVERY_MS - Date.now();
    if (due <= 0) void this.keep();
    else this.#keeping = setTimeout(() => void this.keep(), due);
  }

  #changed() {
    const { firstAt, last } = this.answer;
    if (firstAt !== undefined && last > this.#phaseAt) this.phase = null;
    this.around.changed(this);
  }

  /** @param {Phase} phase */
  #wait(phase) {
    this.phase = phase;
    this.#phaseAt = this.answer.last;
  }

  /** @param {Phase} phase */
  #waits(phase) {
    this.#wait(phase);
    this.around.tabs.tell({ kind: "phase", id: this.answer.id, phase });
    this.around.changed(this);
  }

  #over() {
    this.phase = null;
    void this.keep();
    this.around.changed(this);
  }
}
