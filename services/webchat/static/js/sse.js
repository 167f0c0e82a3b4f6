/**
 * The decoder of server-sent events, as the HTML standard reads them. Pure: bytes in, events out.
 * https://html.spec.whatwg.org/multipage/server-sent-events.html#parsing-an-event-stream
 */

/** Longest frame kept, in characters: the protocol's longest is 4 MiB. */
const MAX_FRAME = 4 << 20;

/** A frame is longer than any can be; the decoder is of no use after it. */
export class FrameTooLong extends Error {}

/** @typedef {{type: string, data: string, lastEventId: string}} ServerSentEvent */

export class SseDecoder {
  #text = new TextDecoder("utf-8"); // drops one byte order mark at the start; bad bytes become U+FFFD
  #pending = "";
  #afterCr = false; // the last chunk ended in CR: an LF that follows belongs to it
  #type = "";
  #data = "";
  #hasData = false;
  #id = "";
  /** @type {number | null} milliseconds that the server asked readers to wait before they come back */
  retryMs = null;

  /**
   * Take in `chunk`, cut wherever it was; return the events it completes.
   * @param {Uint8Array} chunk
   * @returns {ServerSentEvent[]}
   */
  feed(chunk) {
    let text = this.#text.decode(chunk, { stream: true });
    if (this.#afterCr && text !== "") {
      this.#afterCr = false;
      if (text[0] === "\n") text = text.slice(1);
    }
    if (text === "") return [];
    this.#afterCr = text.endsWith("\r");
    const lines = text.split(/\r\n|\n|\r/);
    lines[0] = this.#pending + lines[0];
    this.#pending = lines.pop() ?? "";
    if (this.#pending.length + this.#data.length > MAX_FRAME) throw new FrameTooLong();
    /** @type {ServerSentEvent[]} */
    const events = [];
    for (const line of lines) {
      const event = line === "" ? this.#dispatched() : this.#field(line);
      if (event) events.push(event);
    }
    return events;
  }

  #dispatched() {
    const event = this.#hasData
      ? { type: this.#type || "message", data: this.#data.slice(0, -1), lastEventId: this.#id }
      : null;
    this.#type = this.#data = "";
    this.#hasData = false;
    return event;
  }

  /** @param {string} line @returns {null} */
  #field(line) {
    const colon = line.indexOf(":");
    const name = colon < 0 ? line : line.slice(0, colon);
    const after = colon < 0 ? "" : line.slice(colon + 1);
    const value = after.startsWith(" ") ? after.slice(1) : after;
    if (name === "data") {
      this.#data += value + "\n";
      this.#hasData = true;
    } else if (name === "event") this.#type = value;
    else if (name === "id" && !value.includes("\0")) this.#id = value;
    else if (name === "retry" && /^[0-9]+$/.test(value)) this.retryMs = Number(value);
    return null; // a comment has the empty name
  }
}
