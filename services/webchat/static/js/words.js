/** Every word the page says, so that another language is one more table; numbers and times are written by Intl. */

/** @type {Record<string, string>} */
const ENGLISH = {
  appName: "Sluice",
  newChat: "New chat",
  chats: "Chats",
  search: "Search chats",
  noMatch: "Nothing found.",
  noChats: "Nothing here yet. What you ask is kept in this browser only.",
  message: "Message",
  placeholder: "Ask something",
  hint: "Enter sends · Shift+Enter new line · Ctrl+/ shortcuts",
  send: "Send",
  stop: "Stop the answer",
  attach: "Add pictures",
  removePicture: "Remove picture",
  latest: "Jump to latest",
  you: "You",
  copy: "Copy",
  copied: "Copied",
  again: "Ask again",
  edit: "Edit and ask again",
  saveEdit: "Ask again",
  cancel: "Cancel",
  close: "Close",
  previous: "Earlier version",
  next: "Later version",
  ofVersions: "{n}/{count}",
  thinking: "Thinking",
  thoughtFor: "Thought for {time}",
  asking: "asking",
  queued: "waiting, {place} in line",
  queuedSomewhere: "waiting in line",
  connecting: "reaching the model server",
  loading: "loading the model",
  prefill: "reading the prompt",
  waiting: "waiting for the first word",
  retrying: "trying again ({n})",
  reconnecting: "reconnecting ({n})",
  place: "waiting for a slot: four answers run already",
  tool: "running {name}",
  approval: "waiting for approval",
  generating: "Generating…",
  complete: "Answer complete, {count} words.",
  stoppedHere: "Stopped.",
  interruptedHere: "Interrupted: the rest of this answer is not held any more.",
  abandonedHere: "Interrupted: nobody was reading, so the model was stopped.",
  lengthHere: "Cut at the length limit.",
  filteredHere: "Withheld by the model server's content filter.",
  skipped: "{count} lines from the model server could not be read and are left out.",
  headMissing: "The beginning is missing: it had left the log before it could be read.",
  leftOut: "{count} older messages did not fit and were not sent.",
  failed: "This did not work",
  retry: "Retry",
  retryIn: "Retry is worth it in {seconds} s.",
  retryMayHelp: "Asking again may help.",
  retryNoHelp: "Asking again will not help by itself.",
  unreachable: "The gateway at {origin} cannot be reached.",
  localGateway: "The page was told to ask {origin}, which from this device is this device itself. Set SLUICE_WEB_GATEWAY_URL to an address that other devices reach (README: opening it to the house).",
  toolNotRun: "asked for, not run: nothing runs tools here yet",
  toolRunning: "running",
  toolArguments: "Arguments",
  toolResult: "Result",
  toolFailed: "Failed",
  copyCode: "Copy code",
  imageLink: "image: {host}",
  plainText: "Showing plain text: the Markdown library is not installed (yet).",
};

/**
 * The words for `key`, with `values` put in the places of their names.
 * @param {string} key @param {Record<string, string | number>} [values]
 */
export function t(key, values = {}) {
  const form = ENGLISH[key];
  if (form === undefined) throw new Error(`no words for ${key}`);
  return form.replace(/\{(\w+)\}/g, (_, name) => String(values[name] ?? ""));
}

/** @param {string} key */
export function hasWords(key) {
  return key in ENGLISH;
}

const LANGUAGE = "en";
const wholes = new Intl.NumberFormat(LANGUAGE);
const tenths = new Intl.NumberFormat(LANGUAGE, { minimumFractionDigits: 1, maximumFractionDigits: 1 });
const clock = new Intl.DateTimeFormat(LANGUAGE, { hour: "2-digit", minute: "2-digit" });
const day = new Intl.DateTimeFormat(LANGUAGE, { day: "numeric", month: "short" });
const plural = new Intl.PluralRules(LANGUAGE, { type: "ordinal" });
/** @type {Record<string, string>} */
const SUFFIX = { one: "st", two: "nd", few: "rd", other: "th" };

/** @param {number} value */
export const whole = (value) => wholes.format(value);
/** @param {number} value */
export const tenth = (value) => tenths.format(value);
/** @param {number} value 1 is 1st */
export const ordinal = (value) => `${value}${SUFFIX[plural.select(value)]}`;
/** @param {number} ms */
export const timeOfDay = (ms) => clock.format(ms);

/** A moment as lists show it. @param {number} ms @param {number} now */
export function moment(ms, now) {
  return new Date(ms).toDateString() === new Date(now).toDateString() ? clock.format(ms) : day.format(ms);
}

/** A length of time. @param {number} ms */
export function span(ms) {
  if (ms < 1000) return `${Math.round(ms)} ms`;
  if (ms < 60_000) return `${tenth(ms / 1000)} s`;
  return `${Math.floor(ms / 60_000)} min ${Math.round((ms % 60_000) / 1000)} s`;
}

/** A size on disk. @param {number} bytes */
export function bytes(bytes) {
  return bytes >= 1e9 ? `${tenth(bytes / 1e9)} GB` : `${whole(Math.max(1, Math.round(bytes / 1e6)))} MB`;
}

/** How many words a text has, as its language counts them. @param {string} text */
export function wordCount(text) {
  if (!("Segmenter" in Intl)) return text.split(/\s+/).filter(Boolean).length;
  let count = 0;
  for (const part of new Intl.Segmenter(undefined, { granularity: "word" }).segment(text)) if (part.isWordLike) count += 1;
  return count;
}
