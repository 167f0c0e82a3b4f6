/** Hears what changes in the kept conversations: one connection for all tabs of this origin, whose events the others are told. */

import { Refused } from "./gateway.js";
import { SseDecoder } from "./sse.js";

const LEASE = "sluice-events";
const CHANNEL = "sluice-events";
const AGAIN_MS = [500, 1000, 2000, 5000, 10_000];
/** The gateway's heartbeat comes every ten seconds or so: a line that is silent for three is dead. */
const SILENT_MS = 35_000;

export class Live {
  #channel = new BroadcastChannel(CHANNEL);
  #tries = 0;

  /**
   * @param {import("./gateway.js").Gateway} gateway @param {ReturnType<import("./leases.js").makeLeases>} leases
   * @param {(told: Record<string, any>) => void} take
   */
  constructor(gateway, leases, take) {
    this.gateway = gateway;
    this.leases = leases;
    this.take = take;
    this.#channel.onmessage = ({ data }) => take(data);
  }

  /** Listen for as long as the page is there. */
  async run() {
    await this.leases.hold(LEASE, new AbortController().signal);
    for (;;) {
      const again = await this.#once();
      if (!again) await this.#otherKey();
      else await this.#pause();
    }
  }

  /** One connection; return whether another may do better. */
  async #once() {
    const line = new AbortController();
    let silent = setTimeout(() => line.abort(), SILENT_MS);
    try {
      const answer = await this.gateway.asked("/api/conversations/events", { headers: { Accept: "text/event-stream" }, signal: line.signal });
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

  /** @returns {Promise<void>} */
  #pause() {
    const ms = AGAIN_MS[Math.min(this.#tries, AGAIN_MS.length - 1)] * (0.75 + Math.random() / 2); // so that devices do not come back as one
    this.#tries += 1;
    return new Promise((resolve) => {
      const over = () => {
        clearTimeout(timer);
        removeEventListener("online", over);
        resolve();
      };
      const timer = setTimeout(over, ms);
      addEventListener("online", over);
    });
  }

  /** @returns {Promise<void>} */
  #otherKey() {
    return new Promise((resolve) => this.gateway.apiKey.addEventListener("changed", () => resolve(), { once: true }));
  }
}
