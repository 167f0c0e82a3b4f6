/** Which models there are, asked for when it matters; and which one a conversation means. */

import { Refused } from "./gateway.js";

/** @typedef {import("./gateway.js").Model} Model */

const AGAIN_MS = 5000;

export class Models extends EventTarget {
  /** @type {Model[] | null} null until the gateway has told */
  listed = null;
  /** Tools that run beside the model server: their names, or true for those that nobody has listed. @type {true | string[] | null} */
  serverTools = null;
  /** Why the gateway did not tell when it was asked last, if it said so. @type {import("./gateway.js").Failure | null} */
  refused = null;
  /** @type {Promise<void> | null} */
  #asking = null;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #later;

  /** @param {import("./gateway.js").Gateway} gateway */
  constructor(gateway) {
    super();
    this.gateway = gateway;
    gateway.apiKey.addEventListener("changed", () => {
      if (gateway.apiKey.wanted) return;
      this.#asking = null; // an answer that is under way is to the key before
      void this.refresh();
    });
  }

  /** Ask again; while there is none to chat with, keep asking. */
  refresh() {
    this.#asking ??= this.#ask();
    return this.#asking;
  }

  async #ask() {
    clearTimeout(this.#later);
    const { headers } = this.gateway.apiKey;
    let { listed, serverTools } = this;
    let refused = null;
    try {
      const told = await this.gateway.models();
      listed = told.models;
      serverTools = told.server_tools ?? null;
    } catch (error) {
      // unreachable, or no model server: what was known stays
      if (error instanceof Refused) refused = error.failure;
    }
    if (!this.gateway.apiKey.isStill(headers)) return;
    this.#asking = null;
    [this.listed, this.serverTools, this.refused] = [listed, serverTools, refused];
    const mayHelp = refused === null || refused.retryable;
    if (mayHelp && !listed?.some(canChat)) this.#later = setTimeout(() => void this.refresh(), AGAIN_MS);
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
