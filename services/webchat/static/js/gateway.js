/** What the page asks of the gateway: one method a route of PROTOCOL.md, and refusals as one kind of error. */

/** How long the short questions may take; answers stream for as long as they like. */
const ASK_TIMEOUT_MS = 8000;

/**
 * @typedef {object} Model
 * @property {string} name
 * @property {number | null} size bytes
 * @property {string | null} family
 * @property {string[]} capabilities
 * @property {boolean} loaded
 * @property {boolean} default
 * @property {boolean} [simulated] its words are the simulator's
 */

/**
 * @typedef {object} Failure what went wrong, as the card shows it
 * @property {string} code
 * @property {string} message
 * @property {boolean} retryable
 * @property {number} [retryAt] before which asking again is of no use, in ms
 * @property {string} [requestId]
 * @property {string} [stage]
 * @property {{most: number, left: number}} [perMinute] requests that the key may make, and how many of them it still may
 */

/** @typedef {RequestInit & {headers?: Record<string, string>}} Asking */

/** @typedef {"ready" | "draining" | "no_model_server" | "unreachable"} Readiness */

/** The gateway said no before a stream began. */
export class Refused extends Error {
  /** @param {number} status @param {Failure} failure */
  constructor(status, failure) {
    super(failure.message);
    this.status = status;
    this.failure = failure;
  }
}

export class Gateway {
  /** @param {string} origin "" is the page's own @param {import("./api-key.js").ApiKey} apiKey goes with every call of a route that may ask for one */
  constructor(origin, apiKey) {
    this.origin = origin;
    this.apiKey = apiKey;
  }

  /**
   * Begin an answer. The key makes asking again with the same text the same answer, not a second one.
   * @param {string} body @param {string} key @param {AbortSignal} signal
   */
  ask(body, key, signal) {
    const headers = { "Content-Type": "application/json", "Idempotency-Key": key };
    return this.#streaming("/api/chat/stream", { method: "POST", headers, body, signal });
  }

  /** Go on with an answer after number `after`. @param {string} id @param {number} after @param {AbortSignal} signal */
  follow(id, after, signal) {
    return this.#streaming(`/api/chat/stream/${id}?after=${after}`, { signal });
  }

  /** What there is of an answer, as JSON. @param {string} id @returns {Promise<Record<string, any>>} */
  async snapshot(id) {
    const init = { headers: { Accept: "application/json" }, signal: AbortSignal.timeout(ASK_TIMEOUT_MS) };
    return (await this.asked(`/api/chat/stream/${id}`, init)).json();
  }

  /** Stop an answer, even if the page is about to go. @param {string} id */
  async cancel(id) {
    await this.asked(`/api/chat/stream/${id}/cancel`, { method: "POST", keepalive: true });
  }

  /** Allow or refuse a tool that waits for a person. @param {string} stream @param {string} call @param {boolean} approve */
  async approve(stream, call, approve) {
    const headers = { "Content-Type": "application/json" };
    await this.asked(`/api/chat/stream/${stream}/tools/${encodeURIComponent(call)}`, { method: "POST", headers, body: JSON.stringify({ approve }) });
  }

  /** What may be asked for: models, and tools that run there. @returns {Promise<{models: Model[], server_tools?: true | string[]}>} */
  async models() {
    return (await this.asked("/api/models", { signal: AbortSignal.timeout(ASK_TIMEOUT_MS) })).json();
  }

  /** What the key did and may still do. @returns {Promise<Record<string, any>>} */
  async usage() {
    return (await this.asked("/api/usage", { signal: AbortSignal.timeout(ASK_TIMEOUT_MS) })).json();
  }

  /** Whether it may take questions, by its own word; or that it gives none. @returns {Promise<Readiness>} */
  async readiness() {
    try {
      const answer = await fetch(`${this.origin}/readyz`, { signal: AbortSignal.timeout(ASK_TIMEOUT_MS) });
      if (answer.ok) return "ready";
      return (await answer.json()).status === "draining" ? "draining" : "no_model_server";
    } catch {
      return "unreachable";
    }
  }

  /** Tell how long the first text took to be painted; nobody waits for the answer. @param {string} id @param {number} ms */
  async beacon(id, ms) {
    const body = JSON.stringify({ stream_id: id, ttft_ms: ms });
    const headers = { "Content-Type": "application/json" };
    await this.asked("/api/beacon", { method: "POST", headers, body, keepalive: true }).catch(() => undefined);
  }

  /** @param {string} path @param {Asking} init */
  async #streaming(path, init) {
    // no `cache: "no-store"`: it would pass over what the browser remembers of its preflight, a round trip each time
    const answer = await this.asked(path, init);
    return answer.status === 204 ? null : answer;
  }

  /** Ask with the key, if there is one. @param {string} path @param {Asking} init @throws {Refused} */
  async asked(path, init) {
    const brought = this.apiKey.headers;
    const answer = await fetch(this.origin + path, { credentials: "omit", ...init, headers: { ...brought, ...init.headers } });
    if (answer.status === 401) this.apiKey.refused(brought);
    if (!answer.ok) throw new Refused(answer.status, await failureOf(answer));
    return answer;
  }
}

/** @param {Response} answer @returns {Promise<Failure>} */
async function failureOf(answer) {
  const said = await answer.json().catch(() => null);
  const error = said?.error ?? {};
  const [waitS, most, left] = ["Retry-After", "X-RateLimit-Limit", "X-RateLimit-Remaining"].map((name) => numberOf(answer.headers.get(name)));
  return {
    code: String(error.code ?? `http_${answer.status}`),
    message: String(error.message ?? `The gateway answered ${answer.status}.`),
    retryable: Boolean(error.retryable ?? answer.status >= 500),
    retryAt: waitS ? Date.now() + waitS * 1000 : undefined,
    requestId: error.request_id ?? answer.headers.get("X-Request-Id") ?? undefined,
    perMinute: most === null || left === null ? undefined : { most, left },
  };
}

/** @param {string | null} header @returns {number | null} a whole number, as these headers have it */
function numberOf(header) {
  return header && /^[0-9]{1,9}$/.test(header) ? Number(header) : null;
}
