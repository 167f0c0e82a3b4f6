/** Conversations as a file: written as JSON or Markdown, read from JSON and from nothing else. Pure. */

import { conversationFrom, messagesFrom, rowOf, rowOfConversation } from "./records.js";

/** @typedef {import("./conversation.js").Conversation} Conversation */
/** @typedef {import("./conversation.js").Message} Message */
/** @typedef {{conversation: Conversation, messages: Message[]}} Chat */

const VERSION = 1;
/** Of files from before the gateway could keep chats: they are read, and not written any more. */
const OLDER = "sluice-chats";
/** Largest file that is read. */
export const MOST_BYTES = 64 << 20;
const STATUSES = new Set(["sent", "stopped", "interrupted", "failed"]);
const PICTURE_TYPES = new Set(["image/png", "image/jpeg", "image/webp", "image/gif"]);

/** The file is not one of ours; the message says what is wrong, in words for people. */
export class BadFile extends Error {}

/** The file of these chats: what the gateway's own export is, too. @param {Chat[]} chats @param {number} now ms */
export function written(chats, now) {
  const conversations = chats.map(({ conversation, messages }) => ({ ...rowOfConversation(conversation), messages: messages.toSorted(asAsked).map(rowOf) }));
  return JSON.stringify({ sluice_export: VERSION, exported_at: new Date(now).toISOString(), conversations }, null, 1);
}

/** Oldest first, a question before its answer of the same moment. @param {Message} one @param {Message} other */
function asAsked(one, other) {
  return one.at - other.at || Number(other.role === "user") - Number(one.role === "user");
}

/**
 * Read a file that `written` made, possibly elsewhere; every name in it becomes a new one, so nothing is overwritten.
 * @param {string} text @param {() => string} newId
 * @returns {Chat[]}
 */
export function read(text, newId) {
  return chatsIn(text).map((/** @type {unknown} */ chat, /** @type {number} */ index) => chatOf(chat, index + 1, newId));
}

/** @param {string} text @returns {unknown[]} */
function chatsIn(text) {
  let file;
  try {
    file = JSON.parse(text);
  } catch {
    throw new BadFile("it is not JSON");
  }
  const version = file?.sluice_export ?? (file?.format === OLDER ? file.version : undefined);
  if (version === undefined) throw new BadFile("it is not a file that this page exported");
  if (version !== VERSION) throw new BadFile(`it has version ${String(version).slice(0, 20)}, this page reads version ${VERSION}`);
  const chats = file.format === OLDER ? file.chats : file.conversations;
  if (!Array.isArray(chats)) throw new BadFile("it holds no chats");
  return file.format === OLDER ? chats : chats.map(chatFrom);
}

/** @param {any} given */
function chatFrom(given) {
  try {
    const conversation = conversationFrom(given, false);
    return { conversation, messages: messagesFrom(given.messages, conversation.id) };
  } catch {
    return null; // whatever is wrong with it, it is incomplete
  }
}

/** @param {any} chat @param {number} number @param {() => string} newId @returns {Chat} */
function chatOf(chat, number, newId) {
  const where = `chat ${number}`;
  const { conversation: given, messages } = chat ?? {};
  if (!isObject(given) || !Array.isArray(messages)) throw new BadFile(`${where} is incomplete`);
  const conversation = newId();
  /** @type {Map<string, string>} */
  const ids = new Map(messages.map((message) => [need(message?.id, "string", `${where}: a message's id`), newId()]));
  const read = messages.map((message) => messageOf(message, conversation, ids, where));
  refuseCircles(read, where);
  return {
    conversation: {
      id: conversation,
      title: need(given.title, "string", `${where}: its title`).slice(0, 200),
      named: Boolean(given.named),
      model: need(given.model, "string", `${where}: its model`),
      parameters: parametersOf(given.parameters),
      leaf: ids.get(given.leaf) ?? read.at(-1)?.id ?? null,
      at: need(given.at, "number", `${where}: its time`),
      updated: need(given.updated, "number", `${where}: its time`),
    },
    messages: read,
  };
}

/** A branch that leads to itself would never end. @param {Message[]} messages @param {string} where */
function refuseCircles(messages, where) {
  const parents = new Map(messages.map((message) => [message.id, message.parent]));
  const ending = new Set();
  for (const { id } of messages) {
    const way = new Set();
    for (let at = /** @type {string | null} */ (id); at !== null && !ending.has(at); at = parents.get(at) ?? null) {
      if (way.has(at)) throw new BadFile(`${where}: its messages go round in a circle`);
      way.add(at);
    }
    way.forEach((one) => ending.add(one));
  }
}

/** @param {any} message @param {string} conversation @param {Map<string, string>} ids @param {string} where @returns {Message} */
function messageOf(message, conversation, ids, where) {
  const id = /** @type {string} */ (ids.get(message.id));
  const parent = message.parent === null ? null : ids.get(message.parent);
  if (parent === undefined) throw new BadFile(`${where}: a message hangs under none that is there`);
  const at = need(message.at, "number", `${where}: a message's time`);
  const text = need(message.text, "string", `${where}: a message's text`);
  if (message.role === "user") return { id, conversation, parent, role: "user", at, text, pictures: picturesOf(message.pictures, where) };
  if (message.role !== "assistant" || parent === null) throw new BadFile(`${where}: a message is neither question nor answer`);
  return {
    id,
    conversation,
    parent,
    role: "assistant",
    at,
    text,
    model: need(message.model, "string", `${where}: an answer's model`),
    thinking: typeof message.thinking === "string" ? message.thinking : "",
    thinkingMs: typeof message.thinkingMs === "number" ? message.thinkingMs : undefined,
    tools: Array.isArray(message.tools) ? message.tools.filter(isObject).map(toolOf) : [],
    status: STATUSES.has(message.status) ? message.status : "interrupted",
    key: id,
    last: 0,
    finish: typeof message.finish === "string" ? message.finish : undefined,
    done: isObject(message.done) ? message.done : undefined,
  };
}

/** @param {any} tool */
function toolOf(tool) {
  const result = typeof tool.result === "string" ? { result: tool.result, ok: Boolean(tool.ok), ms: Number(tool.ms) || 0 } : {};
  const approval = ["given", "refused", "expired"].includes(tool.approval) ? { approval: tool.approval } : {};
  return { id: String(tool.id), name: String(tool.name), args: tool.args, at: Number(tool.at) || 0, ours: Boolean(tool.ours), ...result, ...approval };
}

/** @param {any} given @param {string} where */
function picturesOf(given, where) {
  if (given === undefined) return [];
  if (!Array.isArray(given)) throw new BadFile(`${where}: its pictures are no list`);
  return given.map((picture) => {
    const good = PICTURE_TYPES.has(picture?.type) && typeof picture.data === "string" && /^[A-Za-z0-9+/]*={0,2}$/.test(picture.data);
    if (!good) throw new BadFile(`${where}: a picture is none`);
    return { type: picture.type, data: picture.data, name: String(picture.name ?? "") };
  });
}

/** @param {any} given @returns {import("./conversation.js").Parameters} */
function parametersOf(given) {
  /** @type {Record<string, unknown>} */
  const kept = {};
  const types = { temperature: "number", top_p: "number", num_predict: "number", seed: "number", system: "string", think: "boolean", tools: "boolean" };
  for (const [name, type] of Object.entries(types)) if (isObject(given) && typeof given[name] === type) kept[name] = given[name];
  return kept;
}

/** @param {unknown} value @param {"string" | "number"} type @param {string} what @returns {any} */
function need(value, type, what) {
  if (typeof value !== type) throw new BadFile(`${what} is missing`);
  return value;
}

/** @param {unknown} value @returns {value is Record<string, any>} */
function isObject(value) {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** One branch, for people. @param {Conversation} conversation @param {Message[]} thread */
export function asMarkdown(conversation, thread) {
  const parts = thread.map((message) => {
    if (message.role === "user") return `## You\n\n${message.text}`;
    const marks = message.status === "sent" ? "" : `\n\n*(${message.status})*`;
    return `## ${message.model || "Answer"}\n\n${message.text}${marks}`;
  });
  return [`# ${conversation.title}`, ...parts].join("\n\n") + "\n";
}
