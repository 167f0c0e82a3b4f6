/** Brings to the page what was asked or changed on another device, as the gateway tells it. */

import { path } from "./conversation.js";
import { isKept, saysMore } from "./records.js";

/** Several changes in a row are one reading of the list. */
const LIST_AFTER_MS = 150;

export class Sync {
  #listing = 0;
  #due = false;

  /** @param {import("./chat.js").Chat} chat @param {import("./gateway-store.js").GatewayStore} store */
  constructor(chat, store) {
    this.chat = chat;
    this.store = store;
    for (const name of ["thread", "ended"]) chat.addEventListener(name, () => this.#due && this.#nothingUnnamed && void this.#read());
    chat.addEventListener("ended", (event) => this.#ended(/** @type {CustomEvent<string>} */ (event).detail));
  }

  /** @param {Record<string, any>} told of GET /api/conversations/events */
  take({ type, conversation_id: id }) {
    if (type === "deleted") {
      this.store.forget(id);
      return this.chat.removed(id);
    }
    clearTimeout(this.#listing);
    this.#listing = setTimeout(() => void this.chat.readList(), LIST_AFTER_MS);
    if (type === "reload" || id === this.chat.open.id) void this.#read();
  }

  /** An answer of which nobody holds the rest: its row may say more. @param {string} id */
  #ended(id) {
    const answer = this.chat.tree.get(id);
    if (answer?.role === "assistant" && answer.status === "interrupted" && isKept(id)) void this.#read();
  }

  /** Whether each answer that runs in the open conversation has its row's name: else it would be shown twice. */
  get #nothingUnnamed() {
    return [...this.chat.runs.values()].every(({ answer }) => answer.conversation !== this.chat.open.id || isKept(answer.id));
  }

  async #read() {
    const { chat } = this;
    const { open, tree } = chat;
    this.#due = !this.#nothingUnnamed;
    if (this.#due || !isKept(open.id)) return;
    const [messages, row] = await Promise.all([
      this.store.newest(open.id, (id) => tree.has(id)),
      this.store.conversation(open.id),
    ]).catch(() => []);
    if (messages === undefined || chat.tree !== tree) return; // away, or another conversation is open by now
    this.#due = !this.#nothingUnnamed;
    if (this.#due) return;
    for (const message of messages) this.#merge(message);
    if (row?.leaf && tree.has(row.leaf) && (open.leaf === null || path(tree, row.leaf).some(({ id }) => id === open.leaf))) open.leaf = row.leaf;
    chat.say("thread");
  }

  /** @param {import("./conversation.js").Message} message */
  #merge(message) {
    const { tree, runs } = this.chat;
    const here = tree.get(message.id);
    if (runs.has(message.id) || (here && !saysMore(here, message))) return;
    tree.set(message.id, message);
    if (message.role === "assistant" && message.status === "streaming") this.chat.run(message);
  }
}
