/** Every word the page says, so that another language is one more table; numbers and times are written by Intl. */

/** @type {Record<string, string>} */
const ENGLISH = {
  appName: "Sluice",
  newChat: "New chat",
  search: "Search chats",
  noMatch: "Nothing found.",
  noChats: "Nothing here yet. What you ask is kept in this browser only.",
  noChatsKept: "Nothing here yet. What you ask is kept by the gateway, for all your devices.",
  olderChats: "Older chats",
  message: "Message",
  hint: "Enter sends · Shift+Enter new line · Ctrl+/ shortcuts",
  send: "Send",
  stop: "Stop the answer",
  stillRunning: "The answer still comes; Esc stops it. What you typed waits here.",
  attach: "Add pictures",
  removePicture: "Remove {name}",
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
  retryingElsewhere: "asking {server} (try {n})",
  reconnecting: "reconnecting ({n})",
  place: "waiting for a slot: four answers run already",
  tool: "running {name}",
  approval: "waiting for approval",
  generating: "Generating…",
  complete: "Answer complete, {count} words.",
  complete_one: "Answer complete, 1 word.",
  stoppedHere: "Stopped.",
  interruptedHere: "Interrupted: the rest of this answer is not held any more.",
  abandonedHere: "Interrupted: nobody was reading, so the model was stopped.",
  lengthHere: "Cut at the length limit.",
  filteredHere: "Withheld by the model server's content filter.",
  skipped: "{count} lines from the model server could not be read and are left out.",
  skipped_one: "1 line from the model server could not be read and is left out.",
  headMissing: "The beginning is missing: it had left the log before it could be read.",
  leftOut: "{count} older messages did not fit and were not sent.",
  leftOut_one: "1 older message did not fit and was not sent.",
  notStored: "The gateway's database did not take this in time: it is written as soon as it can be.",
  failed: "This did not work",
  retry: "Retry",
  retryIn: "Retry is worth it in {seconds} s.",
  retryMayHelp: "Asking again may help.",
  retryNoHelp: "Asking again will not help by itself.",
  retryAt: "Retry is worth it at {time}, in {wait}.",
  minuteSpent: "This key may ask {count} times a minute.",
  minuteSpent_one: "This key may ask once a minute.",
  daySpent: "{count} tokens are used today.",
  daySpent_one: "1 token is used today.",
  dayLeft: "{left} of {most} tokens are left today.",
  key: "Key",
  keyExample: "sk_…",
  keyIsThere: "one is kept",
  keyUse: "Use",
  keyForget: "Forget",
  keyShape: "A key is one word, without spaces.",
  keyWanted: "This gateway asks for a key. Who runs it gives them out.",
  keyKeptRefused: "The gateway refuses the key that this browser keeps: it has expired, was revoked, or is another gateway's.",
  keyWhere: "It is kept in this browser and goes to {origin}, nowhere else.",
  keyRefused: "Refused. Is it whole, and still good?",
  keySlowed: "Too many wrong keys came from here. Try again in {wait}.",
  keyTaken: "The key is good here.",
  keyFailed: "The gateway wants a key that is good, and did not get one.",
  keyEnter: "Enter a key",
  keyOther: "Use another key",
  cureKey: "Enter one, then retry.",
  cureScope: "Retry with a key that may, or ask who runs the gateway.",
  cureModel: "Choose another, then retry.",
  modelNotAllowed: "This key may not ask this model.",
  modelsRefused: "This key may not list the models. Type the name of one to ask for it.",
  line_unauthorized: "Key needed",
  unreachable: "The gateway at {origin} cannot be reached.",
  localGateway: "The page was told to ask {origin}, which from this device is this device itself. Set SLUICE_WEB_GATEWAY_URL to an address that other devices reach (README: opening it to the house).",
  toolNotRun: "asked for, not run: this page runs no tools",
  toolRunning: "running",
  toolCut: "the answer ended before it",
  toolRefused: "Refused",
  toolExpired: "Nobody allowed it in time",
  toolAsk: "The model wants to run {name}.",
  toolAskLabel: "May {name} run?",
  toolAllow: "Allow",
  toolRefuse: "Refuse",
  toolAllowing: "Allowing …",
  toolRefusing: "Refusing …",
  toolNotWaiting: "It does not wait for an answer any more.",
  toolDecided: "Somebody else has decided otherwise.",
  toolsOff: "Let the model use tools",
  toolsOn: "The model may use tools",
  toolsNamed: "{what}: {names}",
  toolsCannot: "This model uses no tools",
  toolsOffered: "Tools offered",
  toolArguments: "Arguments",
  toolResult: "Result",
  toolFailed: "Failed",
  copyCode: "Copy code",
  imageLink: "image: {host}",
  liveRate: "≈ {rate} tokens/s",
  firstToken: "first token {time}",
  rate: "{rate} tokens/s",
  tokens: "{count} tokens",
  tokens_one: "1 token",
  whereTime: "Where did the time go?",
  noTimes: "The servers gave no times for this answer.",
  part_queue: "Waiting in line",
  part_load: "Loading the model",
  part_prefill: "Reading the prompt",
  part_decode: "Writing",
  part_tools: "Tools",
  part_other: "Other",
  part_network: "Network",
  part_sum: "In all",
  idStream: "Stream",
  idRequest: "Request",
  servedBy: "Served by",
  attempts: "Attempts",
  droppedOptions: "Options left out",
  droppedCount: "{count} options left out",
  droppedCount_one: "1 option left out",
  answeredBy: "answered by {server}",
  copyThis: "Copy: {what}",
  rename: "Rename chat",
  renameThis: "Rename: {title}",
  deleteThis: "Delete: {title}",
  deleteTitle: "Delete this chat?",
  deleteText: "“{title}” will be gone from this browser. Nothing else has it.",
  deleteKept: "“{title}” will be gone from the gateway, and from all your devices. Nothing else has it.",
  delete: "Delete",
  save: "Save",
  shortcuts: "Keyboard shortcuts",
  keySend: "Send",
  keyNewLine: "New line",
  keyStop: "Stop the answer",
  keyModel: "Choose a model",
  keyCopyAnswer: "Copy the last answer",
  keyCopyCode: "Copy the last code block",
  keyHelp: "This list",
  models: "Models",
  findModel: "Find a model",
  anyModel: "Default model",
  noModel: "No model is installed",
  modelsUnknown: "The gateway has not told which models there are.",
  noModelHow: "On the machine where Ollama runs, get one. This one is small, and good enough to see words come:",
  noModelForKey: "No model for this key",
  noModelForKeyHow: "Who runs the gateway says which models a key may ask.",
  noModelLooking: "This page looks again every few seconds.",
  unlisted: "ask for this name",
  cannotChat: "cannot chat: for embeddings",
  loaded: "loaded",
  notLoaded: "not loaded",
  can_vision: "sees pictures",
  can_tools: "tools",
  can_thinking: "thinks",
  simulated: "simulated",
  simulatedWords: "No Ollama answers here, so the words are the simulator's, not a model's. Start Ollama, pull a model, and run the chain again.",
  simulatedHint: "These words are the simulator's, not a model's.",
  welcome: "What would you like to know?",
  welcomeNote: "Chats are kept in this browser only.",
  welcomeKept: "Chats are kept by the gateway.",
  parameters: "Parameters",
  parametersNote: "For this chat, from the next answer on. What is empty is the model's own.",
  p_system: "System prompt",
  p_system_hint: "How it should answer",
  p_temperature: "Temperature",
  p_top_p: "Top p",
  p_num_predict: "Most tokens in an answer",
  p_seed: "Seed",
  modelDefault: "the model's own",
  between: "A number from {min} to {max}.",
  on: "on",
  off: "off",
  reset: "Reset all",
  cannotSee: "This model cannot see pictures.",
  tooManyPictures: "At most {most} pictures in one question.",
  badPicture: "{name} is no picture that can be read and made small enough.",
  theme: "Look",
  theme_system: "as the system",
  theme_light: "light",
  theme_dark: "dark",
  speak: "Screen reader",
  speak_off: "say nothing",
  speak_summary: "say begin and end",
  speak_sentences: "say sentences",
  notify: "Notify me when an answer ends in a hidden tab",
  notifyComplete: "The answer is complete.",
  notifyEnded: "The answer has ended.",
  exportAll: "Export all chats",
  exportOpen: "Export this chat as Markdown",
  import: "Import chats…",
  pageAway: "Not now",
  pageAwayWhy: "A part of this page could not be loaded: its server does not answer.",
  importDone: "Imported",
  imported: "{count} chats are here now. Nothing was overwritten.",
  imported_one: "1 chat is here now. Nothing was overwritten.",
  importSkipped: "{count} chats were here already.",
  importSkipped_one: "1 chat was here already.",
  notExported: "Not exported",
  notExportedWhy: "The gateway does not answer.",
  moveOffer: "This browser has {count} chats of its own. Move them to the gateway, for all your devices?",
  moveOffer_one: "This browser has 1 chat of its own. Move it to the gateway, for all your devices?",
  move: "Move them",
  moveNot: "Leave them here",
  moved: "Moved",
  movedCount: "{count} chats are at the gateway now.",
  movedCount_one: "1 chat is at the gateway now.",
  movedNotTitle: "Not moved",
  movedNot: "The chats stay in this browser: {why} They are offered again when the page is opened anew.",
  importRefused: "Not imported",
  refusedBecause: "{name}: {why}. Nothing was changed.",
  version: "Sluice {version}",
  line_ready: "Ready",
  line_waiting: "Waiting",
  line_streaming: "Streaming",
  line_reconnecting: "Reconnecting ({n})",
  line_draining: "Shutting down",
  line_no_model_server: "No model server",
  banner_draining: "The gateway is shutting down: running answers may end, new ones have to wait.",
  banner_no_model_server: "No model server answers the gateway. It looks again by itself; so does this page.",
  line_unreachable: "No gateway",
  line_offline: "Offline",
  bannerOffline: "You are offline. What is here stays; an answer under way is taken up again when the line is back.",
  store_memory: "This browser keeps nothing for this page: chats are gone when it is closed.",
  store_full: "The browser's storage is full: the newest messages are kept only while this page is open. Delete chats, or export them.",
  kept_away: "The gateway's database does not answer: the list of chats may be old, and changes are not kept now. Answers come all the same.",
  kept_elsewhere: "This gateway keeps no chats: they are kept in this browser.",
  plainText: "Showing plain text: the Markdown library is not installed (yet).",
};

/**
 * The words for `key`, with `values` put in the places of their names; by `count` in the singular, where there is one.
 * @param {string} key @param {Record<string, string | number>} [values]
 */
export function t(key, values = {}) {
  const form = (String(values.count) === "1" && ENGLISH[`${key}_one`]) || ENGLISH[key];
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
const clock = new Intl.DateTimeFormat(undefined, { hour: "numeric", minute: "2-digit" });
const dayAndTime = new Intl.DateTimeFormat(undefined, { weekday: "long", hour: "numeric", minute: "2-digit" });
const day = new Intl.DateTimeFormat(undefined, { day: "numeric", month: "short" });
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

/** A moment to wait for. @param {number} ms @param {number} now */
export function instant(ms, now) {
  return new Date(ms).toDateString() === new Date(now).toDateString() ? clock.format(ms) : dayAndTime.format(ms);
}

/** A length of time. @param {number} ms */
export function span(ms) {
  if (ms > 0 && ms < 1) return "< 1 ms";
  if (ms < 1000) return `${Math.round(ms)} ms`;
  if (ms < 60_000) return `${tenth(ms / 1000)} s`;
  if (ms < 3_600_000) return `${Math.floor(ms / 60_000)} min ${Math.floor((ms % 60_000) / 1000)} s`;
  return `${Math.floor(ms / 3_600_000)} h ${Math.floor((ms % 3_600_000) / 60_000)} min`;
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
