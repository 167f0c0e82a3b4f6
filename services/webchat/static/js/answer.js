/**
 * One answer as it grows: what its events make of it. Pure: the record and an event in, the record changed.
 * The record is plain data, so that it can be stored, sent to another tab, and gone on with after a reload.
 */

/**
 * @typedef {object} ToolUse
 * @property {string} id
 * @property {string} name
 * @property {unknown} args
 * @property {number} at how much text stood before it
 * @property {boolean} [ours] the servers run it
 * @property {"needed" | "given" | "refused" | "expired"} [approval] what a person must say, or said, before it runs
 * @property {string} [result]
 * @property {boolean} [ok]
 * @property {number} [ms]
 */

/**
 * `streaming` until its end is known, then `sent` (came whole), `stopped` (by a person), `interrupted` (nobody knows
 * the rest any more) or `failed` (said so).
 * @typedef {"streaming" | "sent" | "stopped" | "interrupted" | "failed"} Status
 */

/**
 * @typedef {object} Answer
 * @property {string} id
 * @property {string} conversation
 * @property {string} parent the question
 * @property {"assistant"} role
 * @property {number} at when it was asked for, in ms
 * @property {string} model
 * @property {string} text
 * @property {string} thinking
 * @property {number} [thinkingFrom] ms
 * @property {number} [thinkingMs]
 * @property {ToolUse[]} tools
 * @property {Status} status
 * @property {string} key the Idempotency-Key it was asked under
 * @property {string} [request] the body it was asked with, until the stream has a name
 * @property {string} [stream] the stream's id
 * @property {number} last number of the last event that is in here
 * @property {number} [windowS] how long the stream waits for a reader that left
 * @property {number} [heartbeatS] longest silence while the line is alive
 * @property {number} [firstAt] when the first content came, in ms
 * @property {number} [lastAt] when the newest did
 * @property {number} [firstNumber] that event's number
 * @property {string} [finish]
 * @property {Record<string, any>} [done] usage, timing, gateway, served_by, skipped_lines, stored as the servers gave them
 * @property {{id: string, parent: string}} [row] what the gateway calls it and its question, until they have those names
 * @property {number} [leftOut] how many older messages the gateway did not send
 * @property {string[]} [offered] tools of the servers' that the model may use
 * @property {string} [requestId]
 * @property {import("./gateway.js").Failure} [failure]
 * @property {boolean} [headMissing] the beginning had left the log before it could be read
 * @property {boolean} [demo] asked with tools that nobody runs
 */

/** @typedef {{phase: string, position?: number, attempt?: number, server?: string, name?: string, call_id?: string}} Phase */

/**
 * Return a new answer that is about to be asked for.
 * @param {{id: string, conversation: string, parent: string, model: string, key: string, request: string, at: number}} asked
 * @returns {Answer}
 */
export function asked(asked) {
  return { ...asked, role: "assistant", text: "", thinking: "", tools: [], status: "streaming", last: 0 };
}

/**
 * Put one event of the stream into `answer`; return the phase it tells, if it tells one.
 * @param {Answer} answer
 * @param {import("./sse.js").ServerSentEvent} event
 * @param {number} now ms
 * @returns {Phase | null}
 */
export function take(answer, event, now) {
  if (event.type === "status") return statusOf(answer, JSON.parse(event.data));
  const number = Number(/-([0-9]+)$/.exec(event.lastEventId)?.[1] ?? 0);
  // an `error` that the gateway wrote itself has no id of its own: the decoder shows the one before
  if (number <= answer.last && event.type !== "error") return null;
  const before = answer.last;
  answer.last = Math.max(before, number);
  const data = JSON.parse(event.data);
  const apply = APPLY[event.type];
  if (apply) apply(answer, data, now, before + 1);
  return null;
}

/** @param {Answer} answer @param {Phase} status @returns {Phase} */
function statusOf(answer, status) {
  const tool = status.phase === "tool" && answer.tools.find((one) => one.id === status.call_id);
  if (tool && tool.approval === "needed") tool.approval = "given"; // it runs: somebody allowed it, perhaps elsewhere
  return status;
}

/** Finish reasons that are no whole answer. @type {Record<string, Status>} */
const ENDS = { cancelled: "stopped", abandoned: "interrupted" };

/** @type {Record<string, (answer: Answer, data: any, now: number, first: number) => void>} */
const APPLY = {
  start(answer, data) {
    answer.stream = data.stream_id;
    answer.model = data.model;
    answer.requestId = data.request_id;
    answer.windowS = data.resume_window_s;
    answer.heartbeatS = data.heartbeat_s;
    if (Array.isArray(data.tools)) answer.offered = data.tools.map(String);
    if (data.history?.left_out) answer.leftOut = data.history.left_out;
    if (data.message_id) answer.row = { id: data.message_id, parent: data.parent };
    delete answer.request;
  },
  thinking(answer, data, now, first) {
    content(answer, now, first);
    answer.thinkingFrom ??= now;
    answer.thinkingMs = now - answer.thinkingFrom;
    answer.thinking += data.content;
  },
  token(answer, data, now, first) {
    content(answer, now, first);
    if (answer.text === "") thought(answer, now);
    answer.text += data.content;
  },
  tool_call(answer, data, now, first) {
    content(answer, now, first);
    thought(answer, now);
    answer.tools.push(calledTool(data, answer.text.length));
  },
  tool_result(answer, data) {
    const tool = answer.tools.find((one) => one.id === data.call_id);
    if (tool) Object.assign(tool, resultOf(data));
  },
  done(answer, data) {
    answer.finish = data.finish_reason;
    answer.done = data;
    answer.status = ENDS[String(data.finish_reason)] ?? "sent";
  },
  error(answer, data) {
    const { code, message, retryable, request_id: requestId, stage } = data.error;
    answer.failure = { code, message, retryable: Boolean(retryable), requestId, stage };
    answer.status = "failed";
    const { skipped_lines, stored } = data;
    if (skipped_lines || stored === false) answer.done = { ...answer.done, skipped_lines, stored };
  },
};

/** @param {Answer} answer @param {number} now @param {number} first number of the first event in the frame */
function content(answer, now, first) {
  if (answer.firstAt === undefined) {
    answer.firstAt = now;
    answer.firstNumber = first;
  }
  answer.lastAt = now;
}

/** @param {Record<string, any>} call @param {number} at @returns {ToolUse} */
export function calledTool(call, at) {
  const { call_id: id, name, arguments: args } = call;
  return { id, name, args, at, ...(call.runs === "server" ? { ours: true } : {}), ...(call.approval === "needed" ? { approval: "needed" } : {}) };
}

/** @param {Record<string, any>} data @returns {Partial<ToolUse>} */
export function resultOf(data) {
  const result = { result: String(data.content ?? ""), ok: Boolean(data.ok), ms: data.duration_ms };
  return data.approval ? { ...result, approval: data.approval } : result;
}

/** The thinking is over. @param {Answer} answer @param {number} now */
function thought(answer, now) {
  if (answer.thinkingFrom !== undefined && answer.text === "" && answer.tools.length === 0) {
    answer.thinkingMs = now - answer.thinkingFrom;
  }
}

/**
 * Put a snapshot of the whole answer in the place of what was heard of it.
 * @param {Answer} answer @param {Record<string, any>} snapshot
 */
export function takeSnapshot(answer, snapshot) {
  if (snapshot.text_from || snapshot.thinking_from) answer.headMissing = true;
  if (!snapshot.text_from) answer.text = snapshot.text;
  if (!snapshot.thinking_from) answer.thinking = snapshot.thinking;
  const results = new Map((snapshot.tool_results ?? []).map((/** @type {any} */ result) => [result.call_id, result]));
  const places = placesOf(snapshot.messages ?? []);
  answer.tools = (snapshot.tool_calls ?? []).map((/** @type {any} */ call, /** @type {number} */ index) => ({
    ...calledTool(call, places[index] ?? answer.tools[index]?.at ?? 0),
    ...(results.has(call.call_id) ? resultOf(results.get(call.call_id)) : {}),
  }));
  answer.last = Math.max(answer.last, Number(snapshot.last ?? 0));
  const { end } = snapshot;
  if (end) APPLY[end.error ? "error" : "done"](answer, end, 0, 0);
}

/** @typedef {{text: string} | {tools: ToolUse[]}} Part */

/** What the model said and what it asked for, in their order. @param {Answer} answer @returns {Part[]} */
export function parts({ text, tools }) {
  /** @type {Part[]} */
  const found = [];
  let from = 0;
  for (const tool of tools) {
    if (tool.at > from) found.push({ text: text.slice(from, (from = Math.min(tool.at, text.length))) });
    const last = found.at(-1);
    if (last && "tools" in last) last.tools.push(tool);
    else found.push({ tools: [tool] });
  }
  return from < text.length || found.length === 0 ? [...found, { text: text.slice(from) }] : found;
}

/** How much text stood before each call, in their order. @param {any[]} messages what the answer adds to a history @returns {number[]} */
function placesOf(messages) {
  let at = 0;
  return messages.filter((one) => one.role === "assistant").flatMap((one) => {
    at += (one.content ?? "").length;
    return (one.tool_calls ?? []).map(() => at);
  });
}

/** Content a second since the first of it: what a model still writing is measured by. @param {Answer} answer */
export function liveRate(answer) {
  if (answer.firstAt === undefined || answer.lastAt === undefined || answer.firstNumber === undefined) return null;
  const seconds = (answer.lastAt - answer.firstAt) / 1000;
  return seconds < 0.5 ? null : (answer.last - answer.firstNumber) / seconds;
}

/** Whether nothing of it is to be seen. @param {Answer} answer */
export function isEmpty(answer) {
  return answer.text === "" && answer.thinking === "" && answer.tools.length === 0;
}
