/**
 * Conversations and messages in IndexedDB; in memory where the browser keeps nothing (a private window).
 * What could not be kept is said once through `trouble`; the screen never depends on it.
 */

/** @typedef {import("./conversation.js").Conversation} Conversation */
/** @typedef {import("./conversation.js").Message} Message */

const NAME = "sluice";
/** 2 added `settings`: what this browser alone keeps of chats that are the gateway's. */
const VERSION = 2;

/**
 * @typedef {{id: string, tools: boolean}} OwnSettings of one conversation: whether its model may use tools
 */

/**
 * @typedef {object} Store
 * @property {boolean} lasting whether it outlives the page
 * @property {() => Promise<Conversation[]>} conversations
 * @property {(words: string) => Promise<Conversation[]>} search those in which this was said
 * @property {(conversation: string) => Promise<Message[]>} messages
 * @property {() => Promise<Message[]>} everything
 * @property {(id: string) => Promise<Message | undefined>} message
 * @property {(conversation: Conversation, before?: Conversation) => Promise<void>} keep `before`: what it was until a person changed it
 * @property {(...messages: Message[]) => Promise<void>} keepMessages
 * @property {(conversation: string) => Promise<void>} remove
 */

/** @typedef {LastingStore | MemoryStore} OwnStore */

/** @param {(what: "memory" | "full") => void} trouble @returns {Promise<OwnStore>} */
export async function openStore(trouble) {
  try {
    return new LastingStore(await opened(), () => trouble("full"));
  } catch {
    trouble("memory");
    return new MemoryStore();
  }
}

/** @returns {Promise<IDBDatabase>} */
function opened() {
  return new Promise((resolve, reject) => {
    const request = indexedDB.open(NAME, VERSION);
    request.onupgradeneeded = () => {
      const database = request.result;
      const made = (/** @type {string} */ name) => database.objectStoreNames.contains(name) || database.createObjectStore(name, { keyPath: "id" });
      made("conversations");
      made("settings");
      const messages = made("messages");
      if (messages instanceof IDBObjectStore) messages.createIndex("conversation", "conversation");
    };
    request.onsuccess = () => resolve(request.result);
    request.onerror = request.onblocked = () => reject(request.error);
  });
}

/** @template T @param {IDBRequest<T>} request @returns {Promise<T>} */
function result(request) {
  return new Promise((resolve, reject) => {
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error);
  });
}

/** @implements {Store} */
class LastingStore {
  lasting = true;
  #unsaved = new MemoryStore(); // what the disk did not take, until the page goes

  /** @param {IDBDatabase} database @param {() => void} full */
  constructor(database, full) {
    this.database = database;
    this.full = full;
    database.onversionchange = () => database.close(); // a newer page wants to upgrade
  }

  /** @param {string} name */
  #read(name) {
    return this.database.transaction(name, "readonly").objectStore(name);
  }

  /** @returns {Promise<Conversation[]>} */
  async conversations() {
    return merged(await result(this.#read("conversations").getAll()), await this.#unsaved.conversations());
  }

  /** @param {string} conversation @returns {Promise<Message[]>} */
  async messages(conversation) {
    const kept = await result(this.#read("messages").index("conversation").getAll(conversation));
    return merged(kept, await this.#unsaved.messages(conversation));
  }

  /** @returns {Promise<Message[]>} */
  async everything() {
    return merged(await result(this.#read("messages").getAll()), await this.#unsaved.everything());
  }

  /** @param {string} words */
  async search(words) {
    return within(words, await this.everything(), await this.conversations());
  }

  /** @param {string} id @returns {Promise<Message | undefined>} */
  async message(id) {
    return (await this.#unsaved.message(id)) ?? (await result(this.#read("messages").get(id)));
  }

  /** @param {Conversation} conversation */
  async keep(conversation) {
    if (!(await this.#written("conversations", [conversation]))) await this.#unsaved.keep(conversation);
  }

  /** @param {...Message} messages */
  async keepMessages(...messages) {
    if (!(await this.#written("messages", messages))) await this.#unsaved.keepMessages(...messages);
  }

  /** @returns {Promise<OwnSettings[]>} */
  async settings() {
    return merged(await result(this.#read("settings").getAll()), await this.#unsaved.settings());
  }

  /** @param {OwnSettings} settings */
  async keepSettings(settings) {
    if (!(await this.#written("settings", [settings]))) await this.#unsaved.keepSettings(settings);
  }

  /** @param {string} conversation */
  async remove(conversation) {
    await this.#unsaved.remove(conversation);
    const transaction = this.database.transaction(["conversations", "messages", "settings"], "readwrite");
    for (const name of ["conversations", "settings"]) transaction.objectStore(name).delete(conversation);
    const messages = transaction.objectStore("messages");
    const keys = await result(messages.index("conversation").getAllKeys(conversation));
    for (const key of keys) messages.delete(key);
    await done(transaction);
  }

  /** @param {string} name @param {object[]} records @returns {Promise<boolean>} */
  async #written(name, records) {
    try {
      const transaction = this.database.transaction(name, "readwrite");
      const store = transaction.objectStore(name);
      for (const record of records) store.put(record);
      await done(transaction);
      return true;
    } catch {
      this.full();
      return false;
    }
  }
}

/** @param {IDBTransaction} transaction */
function done(transaction) {
  return new Promise((resolve, reject) => {
    transaction.oncomplete = () => resolve(undefined);
    transaction.onabort = transaction.onerror = () => reject(transaction.error);
  });
}

/** @param {string} words @param {Message[]} messages @param {Conversation[]} conversations */
function within(words, messages, conversations) {
  const found = new Set(messages.filter((message) => message.text.toLowerCase().includes(words)).map((message) => message.conversation));
  return conversations.filter((one) => found.has(one.id));
}

/** @template {{id: string}} T @param {T[]} kept @param {T[]} unsaved newer @returns {T[]} */
function merged(kept, unsaved) {
  return unsaved.length === 0 ? kept : [...new Map([...kept, ...unsaved].map((one) => [one.id, one])).values()];
}

/** @implements {Store} */
export class MemoryStore {
  lasting = false;
  /** @type {Map<string, Conversation>} */
  #conversations = new Map();
  /** @type {Map<string, Message>} */
  #messages = new Map();
  /** @type {Map<string, OwnSettings>} */
  #settings = new Map();

  async conversations() {
    return [...this.#conversations.values()];
  }

  /** @param {string} conversation */
  async messages(conversation) {
    return [...this.#messages.values()].filter((message) => message.conversation === conversation);
  }

  async everything() {
    return [...this.#messages.values()];
  }

  /** @param {string} words */
  async search(words) {
    return within(words, await this.everything(), await this.conversations());
  }

  /** @param {string} id */
  async message(id) {
    return this.#messages.get(id);
  }

  /** @param {Conversation} conversation */
  async keep(conversation) {
    this.#conversations.set(conversation.id, conversation);
  }

  /** @param {...Message} messages */
  async keepMessages(...messages) {
    for (const message of messages) this.#messages.set(message.id, message);
  }

  async settings() {
    return [...this.#settings.values()];
  }

  /** @param {OwnSettings} settings */
  async keepSettings(settings) {
    this.#settings.set(settings.id, settings);
  }

  /** @param {string} conversation */
  async remove(conversation) {
    this.#conversations.delete(conversation);
    this.#settings.delete(conversation);
    for (const message of await this.messages(conversation)) this.#messages.delete(message.id);
  }
}
