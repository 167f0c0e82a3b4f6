/**
 * Follows one answer to its end: asks, reads, comes back after a break, gives up when nobody can know the rest.
 * No DOM: what happens is told to an observer.
 */

import { isEmpty, take, takeSnapshot } from "./answer.js";
import { delayS, waited } from "./back-off.js";
import { Refused } from "./gateway.js";
import { SseDecoder } from "./sse.js";

/** So often in a row without a new frame between. */
const MOST_TRIES = 5;
/** Until `start` says it: how long a stream waits for its reader. */
const DEFAULT_WINDOW_S = 30;
const DEFAULT_HEARTBEAT_S = 10;
/** A line is dead after so many heartbeats without a byte. */
const SILENT_HEARTBEATS = 3;
/** Headers come within a second of being accepted; the hop behind the gateway may take six more. */
const HEADERS_TIMEOUT_MS = 20000;
/** After its last word a body only ends. */
const LAST_CHUNK_MS = 1000;

/** The line fell silent, or the body ended without a last word: the connection is over, the answer may not be. */
class Broken extends Error {}

/**
 * @typedef {object} Observer
 * @property {() => void} changed the answer grew
 * @property {(phase: import("./answer.js").Phase) => void} phase it waits for something
 * @property {(event: import("./sse.js").ServerSentEvent, before: number) => void} [heard] as it came, for other tabs
 * @property {(signal: AbortSignal) => Promise<Response | null>} [ask] for it, until it has a name; again is the same answer
 */

export class Following {
  #aborted = new AbortController();
  #tries = 0;
  #lostAt = 0;

  /**
   * @param {import("./gateway.js").Gateway} gateway
   * @param {import("./answer.js").Answer} answer
   * @param {Observer} observer
   */
  constructor(gateway, answer, observer) {
    this.gateway = gateway;
    this.answer = answer;
    this.observer = observer;
  }

  /** Stop reading; the stream goes on without us. */
  leave() {
    this.#aborted.abort();
  }

  /** Return when the answer is over, or was left. */
  async run() {
    const { answer } = this;
    while (answer.status === "streaming" && !this.#aborted.signal.aborted) {
      try {
        await this.#once();
      } catch (error) {
        if (this.#aborted.signal.aborted) return;
        await this.#failed(error);
      }
    }
    if (answer.status !== "streaming") this.observer.changed();
  }

  /** One connection, from its request to its end. */
  async #once() {
    const { answer, gateway } = this;
    const line = new AbortController();
    const signal = AbortSignal.any([this.#aborted.signal, line.signal]);
    const headersDue = setTimeout(() => line.abort(), HEADERS_TIMEOUT_MS);
    const response = await (answer.stream
      ? gateway.follow(answer.stream, answer.last, signal)
      : this.#ask(signal)
    ).finally(() => clearTimeout(headersDue));
    if (response === null) return this.#finishedBefore();
    answer.stream ??= response.headers.get("X-Stream-Id") ?? undefined;
    await this.#read(response, line);
    if (answer.status === "streaming") throw new Broken();
  }

  /** @param {AbortSignal} signal */
  #ask(signal) {
    const { answer, gateway, observer } = this;
    return observer.ask?.(signal) ?? gateway.ask(answer.request ?? "", answer.key, signal);
  }

  /** @param {Response} response @param {AbortController} line */
  async #read(response, line) {
    const { answer, observer } = this;
    const decoder = new SseDecoder();
    const reader = /** @type {ReadableStream<Uint8Array>} */ (response.body).getReader();
    let heardAt = Date.now();
    const watch = setInterval(() => {
      const limit = SILENT_HEARTBEATS * (answer.heartbeatS ?? DEFAULT_HEARTBEAT_S) * 1000;
      if (Date.now() - heardAt > limit) line.abort();
    }, 1000);
    try {
      while (answer.status === "streaming") {
        const { done, value } = await reader.read();
        if (done) return;
        heardAt = Date.now();
        for (const event of decoder.feed(value)) this.#heard(event, heardAt);
        observer.changed();
      }
    } finally {
      clearInterval(watch);
      if (answer.status === "streaming") line.abort();
      else setTimeout(() => line.abort(), LAST_CHUNK_MS); // else its end would look like a reader who left
    }
  }

  /** @param {import("./sse.js").ServerSentEvent} event @param {number} now */
  #heard(event, now) {
    const before = this.answer.last;
    this.#tries = 0;
    this.#lostAt = 0;
    const phase = take(this.answer, event, now);
    if (phase) this.observer.phase(phase);
    this.observer.heard?.(event, before);
  }

  /** 204: it was over and we have all of it but its last word. */
  async #finishedBefore() {
    const { answer, gateway } = this;
    takeSnapshot(answer, await gateway.snapshot(/** @type {string} */ (answer.stream)));
    if (answer.status === "streaming") answer.status = "interrupted";
  }

  /** Decide what a failed connection means, and wait where it is worth another. @param {unknown} error */
  async #failed(error) {
    const { answer } = this;
    const refused = error instanceof Refused ? error : null;
    if (refused && !answer.stream) return this.#over("failed", refused.failure);
    if (refused && refused.status < 500 && refused.status !== 429) return this.#over("interrupted", refused.failure);
    const now = Date.now();
    this.#lostAt ||= now;
    const waitS = Math.max(delayS(this.#tries, Math.random()), ((refused?.failure.retryAt ?? now) - now) / 1000);
    const tooLate = now + waitS * 1000 - this.#lostAt > (answer.windowS ?? DEFAULT_WINDOW_S) * 1000;
    if (this.#tries >= MOST_TRIES || tooLate) return this.#over(answer.stream ? "interrupted" : "failed", UNREACHABLE);
    this.#tries += 1;
    this.observer.phase({ phase: "reconnecting", attempt: this.#tries });
    await waited(waitS, this.#aborted.signal);
  }

  /** @param {"failed" | "interrupted"} status @param {import("./gateway.js").Failure} failure */
  #over(status, failure) {
    const { answer } = this;
    answer.status = status === "failed" && !isEmpty(answer) ? "interrupted" : status;
    answer.failure = failure;
  }
}

/** @type {import("./gateway.js").Failure} */
const UNREACHABLE = {
  code: "unreachable",
  message: "The gateway cannot be reached.",
  retryable: true,
};
