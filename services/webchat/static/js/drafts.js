/** What was asked in a chat and not taken by the gateway, where that keeps the chats: a tab has it through its reloads. */

const KEY = "sluice-drafts";
/** Chats of which a tab remembers one; the oldest goes. */
const MOST = 20;

/** @param {string} id of a conversation @returns {string} "" where there is none */
export function draftOf(id) {
  return new Map(drafts()).get(id) ?? "";
}

/** @param {string} id of a conversation @param {string} text */
export function keepDraft(id, text) {
  const others = drafts().filter(([one]) => one !== id);
  put(text === "" ? others : [...others, [id, text]].slice(-MOST));
}

/** It was taken, or is not wanted any more. @param {string} id of a conversation */
export function forgetDraft(id) {
  keepDraft(id, "");
}

/** The conversation has another name. @param {string} id @param {string} now */
export function moveDraft(id, now) {
  const text = draftOf(id);
  forgetDraft(id);
  keepDraft(now, text);
}

export function forgetDrafts() {
  put([]);
}

/** @returns {[string, string][]} oldest first */
function drafts() {
  try {
    return JSON.parse(sessionStorage.getItem(KEY) ?? "[]");
  } catch {
    return []; // no storage
  }
}

/** @param {string[][]} drafts */
function put(drafts) {
  try {
    sessionStorage.setItem(KEY, JSON.stringify(drafts));
  } catch {
    // no storage, or no room: a reload loses it
  }
}
