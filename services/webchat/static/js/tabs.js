/** What the tabs of this origin tell each other: an answer as it comes, and that something stored has changed. */

const CHANNEL = "sluice-tabs";

/**
 * @typedef {{kind: "heard", id: string, before: number, event: import("./sse.js").ServerSentEvent}
 *   | {kind: "phase", id: string, phase: import("./answer.js").Phase}
 *   | {kind: "answer", answer: import("./answer.js").Answer}
 *   | {kind: "want", id: string}
 *   | {kind: "message", message: import("./conversation.js").Message}
 *   | {kind: "list"}
 *   | {kind: "removed", id: string}} Told
 */

export class Tabs {
  #channel = new BroadcastChannel(CHANNEL);

  /** @param {(told: Told) => void} hear */
  constructor(hear) {
    this.#channel.onmessage = ({ data }) => hear(data);
  }

  /** @param {Told} what */
  tell(what) {
    this.#channel.postMessage(what);
  }
}
