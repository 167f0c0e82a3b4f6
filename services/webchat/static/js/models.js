/** Which models there are, asked for when it matters; and which one a conversation means. */

/** @typedef {import("./gateway.js").Model} Model */

const AGAIN_MS = 5000;

export class Models extends EventTarget {
  /** @type {Model[] | null} null until the gateway has told */
  listed = null;
  #asking = false;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #later;

  /** @param {import("./gateway.js").Gateway} gateway */
  constructor(gateway) {
    super();
    this.gateway = gateway;
  }

  /** Ask again; while there is none to chat with, keep asking. */
  async refresh() {
    if (this.#asking) return;
    this.#asking = true;
    clearTimeout(this.#later);
    try {
      this.listed = await this.gateway.models();
    } catch {
      // unreachable, or no model server: what was known stays
    }
    this.#asking = false;
    if (!this.listed?.some(canChat)) this.#later = setTimeout(() => void this.refresh(), AGAIN_MS);
    this.dispatchEvent(new Event("changed"));
  }

  /** The model that is meant by `name`; "" is the gateway's default. @param {string} name */
  meant(name) {
    const names = [name, `${name}:latest`]; // a name without its tag is a model, too
    return this.listed?.find((model) => (name === "" ? model.default : names.includes(model.name))) ?? null;
  }

  /** Whether the gateway told that nobody here can chat. */
  get none() {
    return this.listed !== null && !this.listed.some(canChat);
  }
}

/** @param {Model} model */
export function canChat(model) {
  return model.capabilities.length === 0 || model.capabilities.includes("completion");
}
