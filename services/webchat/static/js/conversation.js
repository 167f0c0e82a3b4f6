/**
 * A conversation is a tree: asking again or editing adds a branch and overwrites nothing. Pure.
 * Questions hang under answers (or under nothing), answers under questions; a leaf says which branch is shown.
 */

import { parts } from "./answer.js";

/** @typedef {{type: string, data: string, name: string}} Picture base64, as it is sent */

/**
 * @typedef {object} Question
 * @property {string} id
 * @property {string} conversation
 * @property {string | null} parent
 * @property {"user"} role
 * @property {number} at ms
 * @property {string} text
 * @property {Picture[]} pictures
 */

/** @typedef {Question | import("./answer.js").Answer} Message */
/** @typedef {Map<string, Message>} Tree */

/**
 * What a person may set for a conversation; what is absent is the model's own. `tools`: it may use those of the servers.
 * @typedef {{temperature?: number, top_p?: number, num_predict?: number, seed?: number, system?: string, think?: boolean, tools?: boolean}} Parameters
 */

/**
 * @typedef {object} Conversation
 * @property {string} id
 * @property {string} title
 * @property {boolean} named a person chose the title
 * @property {string} model "" is the gateway's default
 * @property {Parameters} parameters
 * @property {string | null} leaf
 * @property {number} at ms
 * @property {number} updated ms
 */

/** Most messages the gateway takes in one request. */
const MOST_MESSAGES = 1000;
const TITLE_LENGTH = 60;

/** @param {Tree} tree @param {string | null} leaf @returns {Message[]} from the first question to the leaf */
export function path(tree, leaf) {
  /** @type {Message[]} */
  const found = [];
  for (let at = leaf; at !== null; ) {
    const message = tree.get(at);
    if (!message) break;
    found.unshift(message);
    at = message.parent;
  }
  return found;
}

/** The messages that stand in the same place, oldest first. @param {Tree} tree @param {Message} message */
export function siblings(tree, message) {
  return childrenOf(tree, message.parent);
}

/** The end of the branch that was gone on with last below `id`. @param {Tree} tree @param {string} id @returns {string} */
export function newestLeaf(tree, id) {
  const children = childrenOf(tree, id);
  return children.length === 0 ? id : newestLeaf(tree, children[children.length - 1].id);
}

/** @param {Tree} tree @param {string | null} parent @returns {Message[]} */
function childrenOf(tree, parent) {
  return [...tree.values()].filter((message) => message.parent === parent).sort((one, other) => one.at - other.at);
}

/** Give a message another name. @param {Tree} tree @param {Message} message @param {string} id */
export function rename(tree, message, id) {
  for (const other of tree.values()) if (other.parent === message.id) other.parent = id;
  tree.delete(message.id);
  message.id = id;
  tree.set(id, message);
}

/** What a list calls a conversation that nobody named. @param {string} question */
export function titleOf(question) {
  const line = question.trim().split(/\s*\n/, 1)[0];
  return line.length <= TITLE_LENGTH ? line : `${line.slice(0, TITLE_LENGTH - 1).trimEnd()}…`;
}

/** @typedef {{body: string, leftOut: number}} Request `leftOut` older messages did not fit */

/**
 * The request for the answer to the last question of `messages`, no longer than the gateway takes: the oldest go first.
 * Only the newest question's pictures are sent; older ones become a line that says so.
 * @param {Message[]} messages @param {Conversation} conversation @param {number} mostBytes
 * @param {{model: string, tools?: unknown[]}} more
 * @returns {Request}
 */
export function request(messages, conversation, mostBytes, more) {
  const newest = messages.findLastIndex((message) => message.role === "user");
  const said = messages.map((message, index) => (message.role === "user" ? [asked(message, index === newest)] : told(message)));
  const left = said.filter((one) => one.length > 0); // an answer and what its tools said stay together
  const body = { ...settings(conversation, more), messages: left.flat() };
  let text = JSON.stringify(body);
  let leftOut = 0;
  while (left.length > 1 && (body.messages.length >= MOST_MESSAGES || bytesOf(text) > mostBytes)) {
    left.shift();
    leftOut += 1;
    body.messages = left.flat();
    text = JSON.stringify(body);
  }
  return { body: text, leftOut };
}

/** How an answer is asked for, beside what was said. @param {Conversation} conversation @param {{model: string, tools?: unknown[]}} more */
export function settings(conversation, more) {
  const { system, think, tools, ...options } = conversation.parameters;
  return {
    ...(more.model ? { model: more.model } : {}),
    ...(system ? { system } : {}),
    ...(think === undefined ? {} : { think }),
    ...(Object.keys(options).length > 0 ? { options } : {}),
    ...(more.tools ? { tools: more.tools } : {}),
    ...(tools ? { server_tools: true } : {}),
    on_disconnect: "continue", // a reload, a second tab or a broken line can come back
  };
}

/** @param {Question} question @param {boolean} isNewest */
function asked(question, isNewest) {
  const count = question.pictures.length;
  if (count === 0) return { role: "user", content: question.text };
  if (isNewest) return { role: "user", content: question.text, images: question.pictures.map((one) => one.data) };
  const line = count === 1 ? "[A picture was shown here. It is not sent again.]" : `[${count} pictures were shown here. They are not sent again.]`;
  return { role: "user", content: `${question.text}\n\n${line}`.trim() };
}

/** An answer as the model is told it: what it said, and between that the tools that ran. @param {import("./answer.js").Answer} answer */
function told(answer) {
  /** @type {Record<string, unknown>[]} */
  const messages = [];
  for (const part of parts(answer)) {
    const ran = "tools" in part ? part.tools.filter((tool) => tool.ours && tool.result !== undefined) : [];
    if ("text" in part && part.text !== "") messages.push({ role: "assistant", content: part.text });
    if (ran.length === 0) continue;
    const before = messages.at(-1);
    const calls = { tool_calls: ran.map(({ id, name, args }) => ({ id, function: { name, arguments: args } })) };
    if (before?.role === "assistant") Object.assign(before, calls);
    else messages.push({ role: "assistant", content: "", ...calls });
    messages.push(...ran.map(({ id, name, result }) => ({ role: "tool", content: result, tool_name: name, tool_call_id: id })));
  }
  return messages;
}

/** @param {string} text */
function bytesOf(text) {
  return new TextEncoder().encode(text).length;
}
