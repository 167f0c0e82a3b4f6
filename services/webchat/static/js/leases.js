/**
 * What only one tab of this origin may hold at a time: following one answer, and each of the few places for streams.
 * By Web Locks in secure contexts; over plain http by BroadcastChannel, where a holder objects to a claim.
 */

/** @typedef {() => void} Release */

/** How long a claim waits for an objection: a tab in the background answers late. */
const OBJECTION_MS = 250;
const CLAIM_AGAIN_MS = 700;

/** @param {string} name of the channel, where one is needed */
export function makeLeases(name) {
  return navigator.locks ? new LockLeases() : new ChannelLeases(name);
}

class LockLeases {
  /** Hold `name` as soon as it is free. @param {string} name @param {AbortSignal} signal @returns {Promise<Release>} */
  hold(name, signal) {
    return this.#requested(name, { signal });
  }

  /** Hold `name` if it is free now. @param {string} name @returns {Promise<Release | null>} */
  tryHold(name) {
    return this.#requested(name, { ifAvailable: true });
  }

  /** @param {string} name @param {LockOptions} options @returns {Promise<any>} */
  #requested(name, options) {
    return new Promise((resolve, reject) => {
      navigator.locks
        .request(name, options, (lock) => {
          if (lock === null) return resolve(null);
          return new Promise((release) => resolve(() => release(undefined)));
        })
        .catch(reject);
    });
  }
}

class ChannelLeases {
  #channel;
  /** @type {Set<string>} */
  #held = new Set();
  /** Claims of ours that nobody has objected to yet. @type {Map<string, {rank: string, refused: boolean}>} */
  #claims = new Map();
  #freed = new EventTarget();

  /** @param {string} name */
  constructor(name) {
    this.#channel = new BroadcastChannel(name);
    this.#channel.onmessage = ({ data }) => this.#heard(data);
    addEventListener("pagehide", () => this.#held.forEach((held) => this.#release(held)));
  }

  /** @param {string} name @param {AbortSignal} signal @returns {Promise<Release>} */
  async hold(name, signal) {
    for (;;) {
      signal.throwIfAborted();
      const release = await this.tryHold(name);
      if (release && !signal.aborted) return release;
      release?.();
      await this.#mayBeFree(name, signal);
    }
  }

  /** @param {string} name @returns {Promise<Release | null>} */
  async tryHold(name) {
    if (this.#held.has(name) || this.#claims.has(name)) return null;
    const claim = { rank: `${Date.now()}-${Math.random()}`, refused: false };
    this.#claims.set(name, claim);
    this.#channel.postMessage({ claim: name, rank: claim.rank });
    await new Promise((resolve) => setTimeout(resolve, OBJECTION_MS));
    this.#claims.delete(name);
    if (claim.refused) return null;
    this.#held.add(name);
    return () => this.#release(name);
  }

  /** @param {string} name */
  #release(name) {
    if (this.#held.delete(name)) this.#channel.postMessage({ freed: name });
    this.#freed.dispatchEvent(new Event(name));
  }

  /** @param {{claim?: string, rank?: string, refused?: string, freed?: string}} told */
  #heard({ claim, rank, refused, freed }) {
    if (freed !== undefined) this.#freed.dispatchEvent(new Event(freed));
    const ours = this.#claims.get(claim ?? refused ?? "");
    if (refused !== undefined && ours && ours.rank === rank) ours.refused = true;
    if (claim === undefined || rank === undefined) return;
    const oursIsOlder = ours && !ours.refused && ours.rank < rank; // of two claims at once the older wins
    if (this.#held.has(claim) || oursIsOlder) this.#channel.postMessage({ refused: claim, rank });
  }

  /** @param {string} name @param {AbortSignal} signal @returns {Promise<void>} */
  #mayBeFree(name, signal) {
    return new Promise((resolve) => {
      const over = () => {
        clearTimeout(timer);
        this.#freed.removeEventListener(name, over);
        signal.removeEventListener("abort", over);
        resolve();
      };
      const timer = setTimeout(over, CLAIM_AGAIN_MS); // who crashed frees nothing
      this.#freed.addEventListener(name, over);
      signal.addEventListener("abort", over);
    });
  }
}

/** At HTTP/1.1 a browser opens six connections to an origin, for all tabs; stopping an answer needs one, too. */
export const MOST_STREAMS = 4;

/**
 * Hold one of the origin's places for streams.
 * @param {ReturnType<typeof makeLeases>} leases @param {AbortSignal} signal @param {() => void} waiting told if all are taken
 * @returns {Promise<Release>}
 */
export async function holdPlace(leases, signal, waiting) {
  const names = Array.from({ length: MOST_STREAMS }, (_, index) => `sluice-place-${index}`);
  for (const name of names) {
    const release = await leases.tryHold(name);
    if (release) return release;
  }
  waiting();
  const enough = new AbortController();
  const either = AbortSignal.any([signal, enough.signal]);
  let taken = false;
  const first = (/** @type {Release} */ release) => {
    if (taken) release();
    else taken = true;
    return release;
  };
  const place = await Promise.any(names.map((name) => leases.hold(name, either).then(first)));
  enough.abort();
  return place;
}
