/** Tells the gateway how long it took from Send to the first text painted: what a person waited for. */

/** What the gateway takes. */
const MOST_MS = 300_000;

export class Beacon {
  /** When they were asked, by answer; only those that were asked here, and not before a reload. @type {Map<string, number>} */
  #asked = new Map();

  /** @param {import("./gateway.js").Gateway} gateway */
  constructor(gateway) {
    this.gateway = gateway;
  }

  /** @param {string} id of an answer that is asked for now */
  asked(id) {
    this.#asked.set(id, performance.now());
  }

  /** An answer was drawn; the first time there is something of it, that is told. @param {import("./answer.js").Answer} answer */
  drawn(answer) {
    const since = this.#asked.get(answer.id);
    if (since === undefined) return;
    if (answer.status !== "streaming" && answer.firstAt === undefined) return void this.#asked.delete(answer.id);
    if (answer.text === "" && answer.thinking === "") return;
    this.#asked.delete(answer.id);
    if (document.hidden) return; // nothing is painted
    painted(() => {
      const ms = Math.round(performance.now() - since);
      if (answer.stream && ms <= MOST_MS) void this.gateway.beacon(answer.stream, ms);
    });
  }
}

/** Call back when what is drawn now has been painted. @param {() => void} then */
function painted(then) {
  requestAnimationFrame(() => {
    const channel = new MessageChannel(); // its message comes after the frame: the cheapest sign that it was painted
    channel.port1.onmessage = then;
    channel.port2.postMessage(null);
  });
}
