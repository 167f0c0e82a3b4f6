/** The key that a gateway may ask for: kept in this browser, sent in one header to that gateway, shown to nobody. */

const PLACE = "sluice-key";
/** Longer is no key. */
export const LONGEST_KEY = 512;
/** What a header can carry. */
const SENDABLE = /^[\x21-\x7e]+$/;
/** Of a key of ours, what the gateway's own log may name; the secret follows. */
const PUBLIC_PART = /^sk_[a-z0-9]{1,16}_[0-9A-Za-z]{8}(?=_)/;

/**
 * Its events: `given` (there is another key, or none any more; detail: whether what was asked so far may go on under it)
 * and `changed` (that, or the gateway said something about this one).
 */
export class ApiKey extends EventTarget {
  #text = kept();
  /** Whether the gateway wants one and this, or none, is not good there; until there is another. */
  wanted = false;

  constructor() {
    super();
    addEventListener("storage", (event) => {
      if (event.key === PLACE || event.key === null) this.#become(kept()); // another tab changed it
    });
  }

  get isThere() {
    return this.#text !== "";
  }

  /** By what a person knows which key it is; "" where it has another form than ours. */
  get publicPart() {
    return PUBLIC_PART.exec(this.#text)?.[0] ?? "";
  }

  /** What brings it. @returns {Record<string, string>} */
  get headers() {
    return this.isThere ? { Authorization: `Bearer ${this.#text}` } : {};
  }

  /** Use it from now on, here and in other tabs. @param {string} text for which `isKey` holds, or "" to forget it */
  become(text) {
    try {
      if (text === "") localStorage.removeItem(PLACE);
      else localStorage.setItem(PLACE, text);
    } catch {
      // kept until the page goes
    }
    this.#become(text);
  }

  /** Whether this key is the one that these headers brought, or did not. @param {Record<string, string>} sent */
  isStill(sent) {
    return sent.Authorization === this.headers.Authorization;
  }

  /** The gateway answered 401. @param {Record<string, string>} sent the headers that brought the key, or did not */
  refused(sent) {
    if (this.wanted || !this.isStill(sent)) return; // there is another by now
    this.wanted = true;
    this.dispatchEvent(new Event("changed"));
  }

  /** @param {string} text */
  #become(text) {
    const goesOn = text === this.#text || (this.wanted && text !== ""); // under a refused key nobody asked
    this.#text = text;
    this.wanted = false;
    this.dispatchEvent(new CustomEvent("given", { detail: goesOn }));
    this.dispatchEvent(new Event("changed"));
  }
}

/** Whether this could be a key, and be sent. @param {string} text */
export function isKey(text) {
  return text.length <= LONGEST_KEY && SENDABLE.test(text);
}

function kept() {
  try {
    const text = localStorage.getItem(PLACE) ?? "";
    return isKey(text) ? text : "";
  } catch {
    return ""; // no storage
  }
}
