/** Hears what changes in the kept conversations: one connection for all tabs of this origin, whose events the others are told. */

import { delayS, waited } from "./back-off.js";
import { Refused } from "./gateway.js";
import { SseDecoder } from "./sse.js";

const LEASE = "sluice-events";
const CHANNEL = "sluice-events";
/** The gateway's heartbeat comes every ten seconds or so: a line that is silent for three is dead. */
const SILENT_MS = 35_000;

export class Live {
  #channel = new BroadcastChannel(CHANNEL);
  #tries = 0;
  /** Aborted as another key is given: the line is the former one's. */
  #key = new AbortController();

  /**
   * @param {import("./gateway.js").Gateway} gateway @param {ReturnType<import("./leases.js").makeLeases>} leases
   * @param {(told: Record<string, any>) => void} take
   */
  constructor(gateway, leases, take) {
    this.gateway = gateway;
    this.leases = leases;
    this.take = take;
    this.#channel.onmessage = ({ data }) => take(data);
    gateway.apiKey.addEventListener("given", () => this.#given());
  }

  /** Listen for as long as the page is there. */
  async run() {
    await this.leases.hold(LEASE, new AbortController().signal);
    for (;;) {
      const { signal } = this.#key;
      const again = await this.#once(signal);
      if (signal.aborted) continue;
      const waitS = delayS(this.#tries, Math.random());
      this.#tries += 1;
      await (again ? waited(waitS, signal) : aborted(signal));
    }
  }

  /** One connection; return whether another may do better. @param {AbortSignal} key */
  async #once(key) {
    const line = new AbortController();
    const signal = AbortSignal.any([key, line.signal]);
    let silent = setTimeout(() => line.abort(), SILENT_MS);
    try {
      const answer = await this.gateway.asked("/api/conversations/events", { headers: { Accept: "text/event-stream" }, signal });
      const decoder = new SseDecoder();
      const reader = /** @type {ReadableStream<Uint8Array>} */ (answer.body).getReader();
      for (;;) {
        const { done, value } = await reader.read();
        if (done) return true;
        clearTimeout(silent);
        silent = setTimeout(() => line.abort(), SILENT_MS);
        for (const event of decoder.feed(value)) this.#heard(JSON.parse(event.data));
      }
    } catch (error) {
      return !(error instanceof Refused) || error.failure.retryable;
    } finally {
      clearTimeout(silent);
      line.abort();
    }
  }

  /** @param {Record<string, any>} told */
  #heard(told) {
    this.#tries = 0;
    this.#channel.postMessage(told);
    this.take(told);
  }

  #given() {
    this.#key.abort();
    this.#key = new AbortController();
    this.#tries = 0;
  }
}

/** @param {AbortSignal} signal @returns {Promise<void>} */
function aborted(signal) {
  return new Promise((resolve) => signal.addEventListener("abort", () => resolve()));
}
