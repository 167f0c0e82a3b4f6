/** Where the time of an answer went, as parts that add up. Pure. */

/** @typedef {"queue" | "load" | "prefill" | "decode" | "tools" | "other" | "network"} PartName */
/** @typedef {{name: PartName, ms: number}} Part */

/**
 * Split total + network into parts: queue, load and prefill as given; decode as the model server gave it, else what
 * follows the first token and is no tool's; tools is the time in which only they ran, or a person was waited for; network is what the gateway waited longer than the proxy (absent on a resume); the rest is
 * other, never below 0.
 * @param {Record<string, any> | undefined} done
 * @returns {Part[]} empty where the servers gave no times
 */
export function partsOf(done) {
  const timing = done?.timing;
  if (!isTime(timing?.total_ms)) return [];
  let left = timing.total_ms;
  const taken = (/** @type {unknown} */ ms) => {
    const part = isTime(ms) ? Math.min(ms, left) : 0; // two clocks: their parts may say more than the whole
    left -= part;
    return part;
  };
  const toolsMs = isTime(timing.tools_ms) ? timing.tools_ms : 0;
  const decode = isTime(timing.decode_ms) ? timing.decode_ms : isTime(timing.ttft_ms) ? timing.total_ms - timing.ttft_ms - toolsMs : null;
  /** @type {Part[]} */
  const parts = [
    { name: "queue", ms: taken(timing.queue_ms) },
    { name: "load", ms: taken(timing.load_ms) },
    { name: "prefill", ms: taken(timing.prefill_ms) },
    { name: "decode", ms: taken(decode) },
    { name: "tools", ms: taken(toolsMs) },
    { name: "other", ms: left },
    { name: "network", ms: networkMs(done) },
  ];
  return parts.filter((part) => part.ms > 0);
}

/** @param {Record<string, any> | undefined} done */
function networkMs(done) {
  const [near, far] = [done?.gateway?.ttft_ms, done?.timing?.ttft_ms];
  return isTime(near) && isTime(far) ? Math.max(0, near - far) : 0;
}

/** @param {unknown} ms @returns {ms is number} */
function isTime(ms) {
  return typeof ms === "number" && Number.isFinite(ms) && ms >= 0;
}
