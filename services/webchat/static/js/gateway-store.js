/** Conversations that the gateway keeps, for all devices of a person; what is this browser's alone stays in its own store. */

import { draftOf, forgetDraft, keepDraft, moveDraft } from "./drafts.js";
import { Refused } from "./gateway.js";
import { inPieces, joined } from "./pieces.js";
import { conversationFrom, isKept, keptRequest, messagesFrom, settingsOf } from "./records.js";

/** @typedef {import("./conversation.js").Conversation} Conversation */
/** @typedef {import("./conversation.js").Message} Message */
/** @typedef {import("./store.js").Store} Store */
/** @typedef {import("./records.js").Row} Row */
/** @typedef {{method?: string, body?: string, timeout?: number}} How */

const TIMEOUT_MS = 8000;
/** A file of all conversations may be large. */
const FILE_TIMEOUT_MS = 120_000;
const PLACE = "/api/conversations";
/** Pages of 50 messages that are read of one conversation; what is older is not shown. */
const MOST_PAGES = 40;
/** Answers whose end may yet be told in a notification. */
const MOST_RECENT = 50;

/**
 * Return the gateway's store; null where it keeps none.
 * @param {import("./gateway.js").Gateway} gateway @param {import("./store.js").OwnStore} local @param {(what: "away" | "here" | "elsewhere") => void} told
 */
export async function openGatewayStore(gateway, local, told) {
  const store = new GatewayStore(gateway, local, told);
  await store.conversations();
  return store.isThere ? store : null;
}

/** What came is of whoever held the key before: nobody is shown it. */
class AnotherKey extends Error {}

/** @implements {Store} */
export class GatewayStore {
  lasting = true;
  /** Whether the gateway keeps conversations at all. */
  isThere = true;
  /** Where the list goes on; null at its end. @type {string | null} */
  next = null;
  /** As the gateway told them last, by id. @type {Map<string, Row>} */
  #rows = new Map();
  /** Rows of later pages. @type {Row[]} */
  #older = [];
  /** Readings of the list so far: the newest alone says what there is. */
  #readings = 0;
  /** Deleted since that began: its answer may have them still. @type {Set<string>} */
  #gone = new Set();
  /** @type {Map<string, Message>} */
  #recent = new Map();
  /** A new conversation has its name. @type {(conversation: Conversation, id: string) => void} */
  onnamed = () => undefined;

  /** @param {import("./gateway.js").Gateway} gateway @param {import("./store.js").OwnStore} local @param {(what: "away" | "here" | "elsewhere") => void} told */
  constructor(gateway, local, told) {
    this.gateway = gateway;
    this.local = local;
    this.told = told;
  }

  /** The newest, and what was read of older ones; where the gateway does not tell, what it told before. */
  async conversations() {
    const reading = (this.#readings += 1);
    this.#gone.clear();
    try {
      const { conversations, next } = await this.#read(PLACE);
      if (reading === this.#readings) this.#take(conversations, next);
      this.told("here");
    } catch (error) {
      if (isMissing(error)) this.isThere = false;
      this.#sayWhy(error);
    }
    return this.listed();
  }

  /** @param {Row[]} conversations the newest @param {string | null} next */
  #take(conversations, next) {
    const listed = new Set(conversations.map((row) => row.id));
    if (this.#older.length === 0) this.next = next;
    this.#older = this.#older.filter((row) => !listed.has(row.id));
    const rows = [...conversations, ...this.#older].filter((row) => !this.#gone.has(row.id));
    this.#rows = new Map(rows.map((row) => [row.id, row]));
  }

  /** What the gateway told last. */
  listed() {
    return this.#shown([...this.#rows.values()]);
  }

  /** Forget what was told: another key may be another person's. */
  clear() {
    this.#rows.clear();
    this.#older = [];
    this.next = null;
    this.#recent.clear();
  }

  /** Read another page of the list. */
  async more() {
    if (this.next === null) return;
    const { conversations, next } = await this.#read(`${PLACE}?before=${encodeURIComponent(this.next)}`);
    this.next = next;
    this.#older.push(...conversations.filter((/** @type {Row} */ row) => !this.#rows.has(row.id)));
    for (const row of conversations) this.#rows.set(row.id, row);
  }

  /** Those in which this was said. @param {string} words */
  async search(words) {
    const { conversations } = await this.#read(`${PLACE}?q=${encodeURIComponent(words.slice(0, 200))}`);
    return this.#shown(conversations);
  }

  /** One that no list has shown. @param {string} id @returns {Promise<Conversation | undefined>} */
  async conversation(id) {
    if (!isKept(id)) return undefined;
    try {
      const row = await this.#read(`${PLACE}/${id}`);
      return (await this.#shown([row]))[0];
    } catch {
      return undefined; // it was deleted, or is another's
    }
  }

  /** @param {string} id @returns {Promise<Message[]>} */
  async messages(id) {
    try {
      return isKept(id) ? await this.newest(id, () => false) : [];
    } catch (error) {
      if (!isMissing(error)) this.#sayWhy(error);
      throw error;
    }
  }

  /**
   * The newest messages of a conversation, up to a page whose oldest is known.
   * @param {string} id @param {(message: string) => boolean} isKnown @returns {Promise<Message[]>}
   */
  async newest(id, isKnown) {
    /** @type {Row[]} */
    const rows = [];
    let before = "";
    for (let page = 0; page < MOST_PAGES; page += 1) {
      const { messages, next } = await this.#read(`${PLACE}/${id}/messages${before}`);
      rows.unshift(...messages);
      if (next === null || isKnown(messages[0]?.id)) break;
      before = `?before=${next}`;
    }
    return messagesFrom(rows, id);
  }

  /** Nothing of it is in this browser. @returns {Promise<Message[]>} */
  async everything() {
    return [];
  }

  /** @param {string} id */
  async message(id) {
    return this.#recent.get(id);
  }

  /** Whether the gateway has it, listed here or not. @param {string} id */
  has(id) {
    return isKept(id);
  }

  /** Tell the gateway what a person set; what another device has set meanwhile stays. @param {Conversation} conversation @param {Conversation} [before] */
  async keep(conversation, before) {
    if (!before) return; // it was gone on with, which the gateway knows
    if (before.parameters.tools !== conversation.parameters.tools) await this.#keepOwn(conversation);
    const was = new Map(Object.entries(toldOf(before)));
    const changes = Object.entries(toldOf(conversation)).filter(([name, value]) => JSON.stringify(value) !== JSON.stringify(was.get(name)));
    if (changes.length > 0) await this.#change(conversation.id, Object.fromEntries(changes));
  }

  /** @param {Conversation} conversation */
  async #keepOwn({ id, parameters }) {
    await this.local.keepSettings({ id, tools: parameters.tools === true });
  }

  /** Show this branch from now on, on all devices. @param {Conversation} conversation */
  async choose({ id, leaf }) {
    if (leaf !== null && isKept(leaf) && isKept(id)) await this.#change(id, { current: leaf });
  }

  /** The gateway writes them itself; a question that it has not taken yet is a draft. @param {...Message} messages */
  async keepMessages(...messages) {
    for (const message of messages) {
      if (message.role === "user" && !isKept(message.id)) keepDraft(message.conversation, message.text);
      this.#recent.delete(message.id);
      this.#recent.set(message.id, message);
    }
    for (const id of this.#recent.keys()) if (this.#recent.size > MOST_RECENT) this.#recent.delete(id);
  }

  /** @param {string} id */
  async remove(id) {
    this.forget(id);
    await this.local.remove(id);
    if (!isKept(id)) return;
    await this.#asked(`${PLACE}/${id}`, { method: "DELETE" }).catch((error) => {
      if (!isMissing(error)) this.#sayWhy(error); // gone is gone
    });
  }

  /** It was deleted, here or elsewhere. @param {string} id */
  forget(id) {
    forgetDraft(id);
    this.#gone.add(id);
    this.#rows.delete(id);
    this.#older = this.#older.filter((row) => row.id !== id);
  }

  /** @param {import("./conversation.js").Tree} tree @param {Conversation} conversation @param {string} parent @param {{model: string, tools?: unknown[]}} more */
  request(tree, conversation, parent, more) {
    return keptRequest(tree, conversation, parent, more);
  }

  /** Begin an answer in a conversation, which is made first where it is new. @param {import("./answer.js").Answer} answer @param {Conversation} conversation @param {AbortSignal} signal */
  async ask(answer, conversation, signal) {
    if (!isKept(conversation.id)) await this.#create(conversation);
    const { id } = conversation;
    const body = { ...JSON.parse(answer.request ?? "{}"), conversation_id: id };
    const response = await this.gateway.ask(JSON.stringify(body), answer.key, signal);
    if (draftOf(id) === body.message) forgetDraft(id); // it is taken
    return response;
  }

  /** All of it, as a file: the gateway hands it out in pieces. @returns {Promise<string>} */
  async exported() {
    /** @type {Row[]} */
    const pieces = [];
    for (let after = ""; ; after = `?after=${encodeURIComponent(pieces.at(-1)?.next)}`) {
      pieces.push(await this.#read(`${PLACE}/export${after}`, { timeout: FILE_TIMEOUT_MS }));
      if (!pieces.at(-1)?.next) return joined(pieces);
    }
  }

  /** Take in such a file. @param {string} text @returns {Promise<{imported: number, skipped: number}>} */
  async imported(text) {
    const total = { imported: 0, skipped: 0 };
    for (const body of inPieces(text)) {
      const { imported, skipped } = await this.#read(`${PLACE}/import`, { method: "POST", body, timeout: FILE_TIMEOUT_MS });
      total.imported += imported;
      total.skipped += skipped;
    }
    return total;
  }

  /** @param {Conversation} conversation */
  async #create(conversation) {
    const set = Object.entries(settingsOf(conversation)).filter(([, value]) => value !== null);
    const title = conversation.named ? [["title", conversation.title]] : [];
    const body = JSON.stringify(Object.fromEntries([...set, ...title]));
    const row = await this.#read(PLACE, { method: "POST", body });
    this.#rows.set(row.id, row);
    moveDraft(conversation.id, row.id);
    this.onnamed(conversation, row.id);
    await this.#keepOwn(conversation);
  }

  /** @param {string} id @param {Row} changes */
  async #change(id, changes) {
    try {
      const row = await this.#read(`${PLACE}/${id}`, { method: "PATCH", body: JSON.stringify(changes) });
      if (this.#rows.has(id)) this.#rows.set(id, row);
    } catch (error) {
      if (!isMissing(error)) this.#sayWhy(error); // it was deleted
    }
  }

  /** @param {Row[]} rows */
  async #shown(rows) {
    const own = new Map((await this.local.settings()).map((one) => [one.id, one]));
    return rows.map((row) => conversationFrom(row, own.get(row.id)?.tools ?? false));
  }

  /** @param {unknown} error */
  #sayWhy(error) {
    const failure = error instanceof Refused ? error.failure : null;
    if (failure?.code === "unauthorized" || error instanceof AnotherKey) return; // the page asks for a key, or has one
    this.told(this.isThere ? "away" : "elsewhere");
  }

  /** @param {string} path @param {How} [how] @returns {Promise<Record<string, any>>} */
  async #read(path, how) {
    const { apiKey } = this.gateway;
    const { headers } = apiKey;
    const told = await (await this.#asked(path, how)).json();
    if (!apiKey.isStill(headers)) throw new AnotherKey("Another key was given meanwhile.");
    return told;
  }

  /** @param {string} path @param {How} [how] */
  #asked(path, { method = "GET", body, timeout = TIMEOUT_MS } = {}) {
    /** @type {Record<string, string>} */
    const headers = body === undefined ? {} : { "Content-Type": "application/json" };
    return this.gateway.asked(path, { method, body, headers, signal: AbortSignal.timeout(timeout) });
  }
}

/** What the gateway is told as a person changes it. @param {Conversation} conversation @returns {Row} */
function toldOf(conversation) {
  return { title: conversation.title, ...settingsOf(conversation) };
}

/** Whether the gateway has not what was asked for. @param {unknown} error */
function isMissing(error) {
  return error instanceof Refused && error.status === 404;
}
