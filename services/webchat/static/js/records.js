/** What the gateway keeps, as the page's records; and how a kept conversation is asked. Pure. */

import { calledTool, resultOf } from "./answer.js";
import { settings } from "./conversation.js";

/** @typedef {import("./conversation.js").Conversation} Conversation */
/** @typedef {import("./conversation.js").Message} Message */
/** @typedef {import("./conversation.js").Tree} Tree */
/** @typedef {Record<string, any>} Row as PROTOCOL.md, "Conversations", has it */

const PICTURES = { iVBOR: "image/png", "/9j/": "image/jpeg", R0lG: "image/gif", UklG: "image/webp" };

/** Whether the gateway has given this name: what has another is not there yet. @param {string} id */
export function isKept(id) {
  return /^(cv|ms)_[A-Z2-7]{26}$/.test(id);
}

/** @param {Row} row @param {boolean} tools whether its model may use them: this browser alone knows @returns {Conversation} */
export function conversationFrom(row, tools) {
  const { system, think, options } = row;
  const parameters = { ...options, ...(system ? { system } : {}), ...(think == null ? {} : { think }), ...(tools ? { tools } : {}) };
  const { id, title, named, model, current, created_at: at, updated_at: updated } = row;
  return { id, title, named: Boolean(named), model: model ?? "", parameters, leaf: current ?? null, at, updated };
}

/** What the gateway keeps of a conversation's settings. @param {Conversation} conversation @returns {Row} */
export function settingsOf({ model, parameters }) {
  const { system, think, tools: _, ...options } = parameters;
  return { model: model || null, system: system ?? null, think: think ?? null, options: Object.keys(options).length > 0 ? options : null };
}

/**
 * Messages of the two roles that the page shows; what hangs under another's hangs under that one's parent.
 * @param {Row[]} rows oldest first @param {string} conversation @returns {Message[]}
 */
export function messagesFrom(rows, conversation) {
  const others = new Map(rows.filter((row) => row.role !== "user" && row.role !== "assistant").map((row) => [row.id, row.parent]));
  const parentOf = (/** @type {Row} */ { parent }) => {
    let at = parent ?? null;
    while (others.has(at)) at = others.get(at);
    return at;
  };
  return rows.filter((row) => !others.has(row.id)).map((row) => (row.role === "user" ? questionFrom : answerFrom)(row, conversation, parentOf(row)));
}

/** @param {Row} row @param {string} conversation @param {string | null} parent @returns {import("./conversation.js").Question} */
function questionFrom(row, conversation, parent) {
  const pictures = (row.images ?? []).map((/** @type {string} */ data) => ({ type: typeOf(data), data, name: "" }));
  return { id: row.id, conversation, parent, role: "user", at: row.created_at, text: row.content, pictures };
}

/** @param {string} data */
function typeOf(data) {
  return Object.entries(PICTURES).find(([begin]) => data.startsWith(begin))?.[1] ?? "image/png";
}

/** @param {Row} row @param {string} conversation @param {string | null} parent @returns {import("./answer.js").Answer} */
function answerFrom(row, conversation, parent) {
  const { id, status, created_at: at, model, stream_id: stream, finish_reason: finish, usage, timing, served_by } = row;
  const answer = { id, conversation, parent: parent ?? "", role: /** @type {const} */ ("assistant"), at, model: model ?? "", key: id, last: 0 };
  // what streams is read from its stream's beginning: a row has no number to go on from
  if (status === "streaming" && stream) return { ...answer, status, stream, text: "", thinking: "", tools: [] };
  const { content: text, thinking = "", error } = row;
  return {
    ...answer,
    text,
    thinking,
    tools: toolsFrom(row),
    status: status === "streaming" ? "interrupted" : status,
    finish,
    done: timing || usage || served_by ? { finish_reason: finish, usage, timing, served_by } : undefined,
    failure: error ? { code: error.code, message: error.message ?? "", retryable: true } : undefined,
  };
}

/** @param {Row} row @returns {import("./answer.js").ToolUse[]} */
function toolsFrom({ content, tools = [] }) {
  const characters = tools.some((/** @type {Row} */ tool) => tool.at) ? [...content] : []; // the gateway counts them by code points
  return tools.map((/** @type {Row} */ tool) => {
    const at = characters.slice(0, tool.at ?? 0).join("").length;
    const came = tool.content === undefined ? {} : resultOf(tool);
    return { ...calledTool(tool, at), ...(tool.approval ? { approval: tool.approval } : {}), ...came };
  });
}

/** @param {Conversation} conversation @returns {Row} */
export function rowOfConversation(conversation) {
  const { id, title, named, leaf, at, updated } = conversation;
  return { id, title, named, ...settingsOf(conversation), current: leaf, created_at: at, updated_at: updated };
}

/** @param {Message} message @returns {Row} */
export function rowOf(message) {
  const { id, parent, role, at, text: content } = message;
  const row = { id, parent, role, content, created_at: at };
  if (message.role === "user") return { ...row, status: "sent", ...(message.pictures.length ? { images: message.pictures.map((one) => one.data) } : {}) };
  const { model, thinking, tools, finish, done, failure } = message;
  const status = message.status === "streaming" ? "interrupted" : message.status;
  const { usage, timing, served_by } = done ?? {};
  const error = failure ? { code: failure.code } : undefined;
  return { ...row, status, model, thinking, tools: tools.map((tool) => rowOfTool(tool, content)), finish_reason: finish, error, usage, timing, served_by };
}

/** @param {import("./answer.js").ToolUse} tool @param {string} text @returns {Row} */
function rowOfTool({ id, name, args, at, ours, approval, result, ok, ms }, text) {
  const came = result === undefined ? {} : { ok, content: result, duration_ms: ms };
  const said = approval && approval !== "needed" ? { approval } : {};
  return { call_id: id, name, arguments: args, at: [...text.slice(0, at)].length, ...(ours ? { runs: "server" } : {}), ...said, ...came };
}

/**
 * The request for an answer to the question `parent`, but for the conversation's name: the gateway knows what was said before.
 * @param {Tree} tree @param {Conversation} conversation @param {string} parent @param {{model: string, tools?: unknown[]}} more
 * @returns {import("./conversation.js").Request}
 */
export function keptRequest(tree, conversation, parent, more) {
  const asked = settings(conversation, more);
  if (isKept(parent)) return { body: JSON.stringify({ ...asked, parent }), leftOut: 0 };
  const question = /** @type {import("./conversation.js").Question} */ (tree.get(parent));
  const images = question.pictures.map((one) => one.data);
  const body = { ...asked, message: question.text, ...(images.length ? { images } : {}), parent: keptAbove(tree, question.parent) };
  return { body: JSON.stringify(body), leftOut: 0 };
}

/** The nearest message that the gateway has; "" is the root. What was refused is here alone. @param {Tree} tree @param {string | null} id */
function keptAbove(tree, id) {
  let at = id;
  while (at !== null && !isKept(at)) at = tree.get(at)?.parent ?? null;
  return at ?? "";
}

/** Whether a row says more of an answer than the page has. @param {Message} here @param {Message} row */
export function saysMore(here, row) {
  if (here.role !== "assistant" || row.role !== "assistant") return false;
  if (row.status === "streaming") return false; // read before its end was written
  if (here.status === "stopped" && row.status === "stopped" && row.text.startsWith(here.text)) return false; // it stands as it was stopped
  return here.status !== row.status || here.text !== row.text;
}
