/**
 * The page's state: conversations, the one that is open, the answers that run. Views listen, and ask for changes.
 * Events: `list` (conversations), `thread` (the open branch), `answer` (one grew; detail: its id), `ended` (likewise).
 */

import { asked as newAnswer } from "./answer.js";
import { newestLeaf, path, rename, request, titleOf } from "./conversation.js";
import { newId } from "./ids.js";
import { makeLeases } from "./leases.js";
import { Run } from "./run.js";
import { Tabs } from "./tabs.js";

/** @typedef {import("./conversation.js").Conversation} Conversation */
/** @typedef {import("./conversation.js").Message} Message */
/** @typedef {import("./conversation.js").Picture} Picture */
/** @typedef {import("./answer.js").Answer} Answer */

export class Chat extends EventTarget {
  /** @type {Conversation[]} newest first */
  conversations = [];
  /** @type {Conversation} the open one; in no list until something was asked */
  open = emptyConversation();
  /** @type {import("./conversation.js").Tree} */
  tree = new Map();
  /** @type {Map<string, Run>} */
  runs = new Map();
  leases = makeLeases("sluice-leases");
  tabs = new Tabs((told) => this.#heard(told));
  /** @type {unknown[] | undefined} tools that are offered to the model for show */
  demoTools;
  /** What the gateway keeps, where it does: then it knows what was said, and is sent what is new. @type {import("./gateway-store.js").GatewayStore | null} */
  kept = null;
  /** How many older messages did not fit into the newest request. */
  leftOut = 0;
  /** Told as an answer is asked for. @type {(id: string) => void} */
  onasked = () => undefined;

  /** @param {import("./gateway.js").Gateway} gateway @param {import("./store.js").Store} store @param {number} bodyBytes */
  constructor(gateway, store, bodyBytes) {
    super();
    this.gateway = gateway;
    this.store = store;
    this.bodyBytes = bodyBytes;
  }

  /** Read what is kept, and go on with what was not over. */
  async begin() {
    if (this.kept) this.kept.onnamed = (conversation, id) => this.#named(conversation, id);
    await this.readList(this.kept?.listed()); // it was read to see whether the gateway keeps any
    for (const message of await this.store.everything()) this.#goOn(message);
    addEventListener("pagehide", () => this.runs.forEach((run) => run.keep()));
  }

  /** The messages of the open branch. */
  get thread() {
    return path(this.tree, this.open.leaf);
  }

  /** The run of the newest answer of the open branch, if that is not over. */
  get running() {
    return this.runs.get(this.open.leaf ?? "");
  }

  /** Show an empty conversation. @param {Pick<Conversation, "model" | "parameters">} [like] */
  startNew({ model, parameters } = this.open) {
    this.open = { ...emptyConversation(), model, parameters: { ...parameters } };
    this.tree = new Map();
    this.say("thread");
  }

  /** Show a kept conversation. @param {string} id */
  async show(id) {
    const [now, messages] = await Promise.all([this.kept?.conversation(id), this.store.messages(id).catch(() => null)]);
    const found = this.conversations.find((one) => one.id === id) ?? now;
    if (!found || !messages) return;
    if (now) found.leaf = now.leaf; // the list may be older than the branch that another device shows
    this.open = found;
    this.tree = new Map(messages.map((message) => [message.id, this.#running(message)]));
    if (!this.tree.has(found.leaf ?? "")) found.leaf = messages.at(-1)?.id ?? null;
    messages.forEach((message) => this.#goOn(message));
    this.say("thread");
  }

  /** What is here of a message that was read: of one that runs, more. @param {Message} message */
  #running(message) {
    const answer = this.runs.get(message.id)?.answer;
    return answer ? Object.assign(answer, { conversation: message.conversation, parent: message.parent }) : message;
  }

  /** List older conversations, too. */
  async more() {
    await this.kept?.more().catch(() => undefined);
    await this.readList();
  }

  /** Ask something below the open branch. @param {string} text @param {Picture[]} pictures */
  async send(text, pictures) {
    await this.#ask(this.open.leaf, text, pictures);
  }

  /** Ask in the place of an earlier question; both stay. @param {string} id @param {string} text */
  async edit(id, text) {
    const question = this.tree.get(id);
    if (question?.role === "user") await this.#ask(question.parent, text, question.pictures);
  }

  /** Ask for another answer to the same question; both stay. @param {string} id of an answer */
  async again(id) {
    const answer = this.tree.get(id);
    if (answer?.role === "assistant") await this.#answer(answer.parent);
  }

  /** Show the branch that goes through this message. @param {string} id */
  async turnTo(id) {
    this.open.leaf = newestLeaf(this.tree, id);
    await this.kept?.choose(this.open);
    await this.#keepOpen();
    this.say("thread");
  }

  /** Stop the newest answer of the open branch; return whether there was one. */
  stop() {
    const running = this.running;
    running?.stop();
    return running !== undefined;
  }

  /** Change what is kept of a conversation. @param {Conversation} conversation @param {Partial<Conversation>} changes */
  async change(conversation, changes) {
    const before = { ...conversation };
    Object.assign(conversation, changes);
    this.say("list");
    const isThere = this.kept?.has(conversation.id) ?? this.conversations.includes(conversation);
    if (!isThere) return; // nothing was asked in it yet: it is made with its settings
    await this.store.keep({ ...conversation }, before);
    this.tabs.tell({ kind: "list" });
  }

  /** @param {string} id */
  async remove(id) {
    this.removed(id);
    await this.store.remove(id);
    if (this.kept) await this.readList(); // it is there still if the gateway did not take it
    this.tabs.tell({ kind: "removed", id });
  }

  /**
   * Take in conversations that were not here before; the gateway takes in their file itself, and skips what it has.
   * @param {{conversation: Conversation, messages: Message[]}[]} chats @param {string} file
   */
  async takeIn(chats, file) {
    const told = (await this.kept?.imported(file)) ?? { imported: chats.length, skipped: 0 };
    for (const { conversation, messages } of this.kept ? [] : chats) {
      await this.store.keepMessages(...messages);
      await this.store.keep(conversation);
    }
    await this.readList();
    this.tabs.tell({ kind: "list" });
    return told;
  }

  /** @param {string | null} parent @param {string} text @param {Picture[]} pictures */
  async #ask(parent, text, pictures) {
    /** @type {import("./conversation.js").Question} */
    const question = { id: newId(), conversation: this.open.id, parent, role: "user", at: Date.now(), text, pictures };
    this.tree.set(question.id, question);
    this.open.leaf = question.id;
    if (!this.open.named && parent === null && this.tree.size === 1) this.open.title = titleOf(text || "Picture");
    this.tabs.tell({ kind: "message", message: question });
    await Promise.all([this.#answer(question.id), this.store.keepMessages(question)]); // asked first: it leaves at once
  }

  /** @param {string} parent the question */
  async #answer(parent) {
    const more = { model: this.open.model, tools: this.demoTools };
    const { open, kept } = this;
    const { body, leftOut } = kept ? kept.request(this.tree, open, parent, more) : request(path(this.tree, parent), open, this.bodyBytes, more);
    this.leftOut = leftOut;
    const { id: conversation, model } = open;
    const answer = newAnswer({ id: newId(), conversation, parent, model, key: newId(), request: body, at: Date.now() });
    if (this.demoTools) answer.demo = true;
    this.tree.set(answer.id, answer);
    this.open.leaf = answer.id;
    this.open.updated = answer.at;
    this.onasked(answer.id);
    this.run(answer, kept ? (signal) => kept.ask(answer, open, signal) : undefined); // before it is stored: the question leaves at once
    this.say("thread");
    this.tabs.tell({ kind: "message", message: answer });
    await this.store.keepMessages({ ...answer });
    await this.#keepOpen();
  }

  /** Go on with what is not over. @param {Message} message */
  #goOn(message) {
    if (message.role === "assistant" && message.status === "streaming") this.run(message);
  }

  /** Follow an answer to its end. @param {Answer} answer @param {(signal: AbortSignal) => Promise<Response | null>} [ask] see following.js */
  run(answer, ask) {
    if (this.runs.has(answer.id)) return;
    const run = new Run(answer, {
      gateway: this.gateway,
      leases: this.leases,
      tabs: this.tabs,
      store: this.store,
      ask,
      changed: () => {
        if (answer.row) this.#rowNamed(answer, answer.row);
        this.say("answer", answer.id);
      },
    });
    this.runs.set(answer.id, run);
    void run.end().finally(() => {
      this.runs.delete(answer.id);
      this.say("ended", answer.id);
    });
  }

  /** The gateway has made a conversation. @param {Conversation} conversation @param {string} id */
  #named(conversation, id) {
    const old = conversation.id;
    conversation.id = id;
    for (const one of [...this.tree.values(), ...[...this.runs.values()].map((run) => run.answer)]) if (one.conversation === old) one.conversation = id;
    this.say("thread");
    this.say("list");
  }

  /** The gateway has said what it calls an answer and its question. @param {Answer} answer @param {{id: string, parent: string}} row */
  #rowNamed(answer, { id, parent }) {
    delete answer.row;
    const run = this.runs.get(answer.id);
    if (answer.id === id || !run) return;
    this.runs.delete(answer.id);
    const question = this.tree.get(answer.parent);
    if (this.tree.get(answer.id) !== answer) Object.assign(answer, { id, parent });
    else {
      if (this.open.leaf === answer.id) this.open.leaf = id;
      rename(this.tree, answer, id);
      if (question && question.id !== parent) rename(this.tree, question, parent);
    }
    this.runs.set(id, run);
    this.say("thread");
  }

  async #keepOpen() {
    if (!this.conversations.includes(this.open)) this.conversations.unshift(this.open);
    this.conversations.sort((one, other) => other.updated - one.updated);
    await this.store.keep({ ...this.open });
    this.say("list");
    this.tabs.tell({ kind: "list" });
  }

  /** Show the list that is read now, or was. @param {Promise<Conversation[]>} [read] */
  async readList(read = this.store.conversations()) {
    this.conversations = (await read)
      .map((one) => (one.id === this.open.id ? Object.assign(this.open, { title: one.title, named: one.named, updated: one.updated }) : one))
      .sort((one, other) => other.updated - one.updated);
    this.say("list");
  }

  /** A conversation was deleted. @param {string} id */
  removed(id) {
    for (const run of this.runs.values()) if (run.answer.conversation === id) run.discard();
    this.conversations = this.conversations.filter((one) => one.id !== id);
    if (this.open.id === id) this.startNew();
    this.say("list");
  }

  /** @param {import("./tabs.js").Told} told */
  #heard(told) {
    if (told.kind === "list") return void this.readList();
    if (told.kind === "removed") return this.removed(told.id);
    if (told.kind === "message") return this.#added(told.message);
    const run = this.runs.get(told.kind === "answer" ? told.answer.id : told.id);
    if (told.kind === "heard") run?.heard(told.before, told.event);
    else if (told.kind === "phase") run?.waits(told.phase);
    else if (told.kind === "answer") run?.caughtUp(told.answer);
    else if (run?.follows) this.tabs.tell({ kind: "answer", answer: run.answer });
  }

  /** Another tab asked something. @param {Message} message */
  #added(message) {
    const isHere = message.conversation === this.open.id;
    if (isHere) {
      const wasLeaf = this.open.leaf === message.parent;
      this.tree.set(message.id, message);
      if (wasLeaf) this.open.leaf = message.id;
    }
    this.#goOn(message);
    if (isHere) this.say("thread");
  }

  /** @param {string} name @param {string} [detail] */
  say(name, detail) {
    this.dispatchEvent(new CustomEvent(name, { detail }));
  }
}

/** @returns {Conversation} */
function emptyConversation() {
  const now = Date.now();
  return { id: newId(), title: "", named: false, model: "", parameters: {}, leaf: null, at: now, updated: now };
}
