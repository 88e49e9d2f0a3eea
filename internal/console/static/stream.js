// Server-sent events from the body of a fetch: EventSource cannot POST.
// The grammar is that of the HTML standard, §9.2.6, with one liberty: an event
// that the end of the stream closes, without its blank line, is delivered.

import { Failure } from "./failure.js";

// One event holds at most the sources of an answer; far larger is not ours.
const maxPending = 8 << 20;

// Our server sends a comment every 15 s while it thinks, and proxies give up
// after 60 s of silence (nginx, proxy_read_timeout): more is a dead link.
const idleMS = 90_000;

/** EventParser turns chunks of bytes, cut anywhere, into events {id, data}. */
export class EventParser {
  #decoder = new TextDecoder();
  #rest = "";       // of a line that is not complete
  #afterCR = false; // a \n that comes next belongs to the last line's \r
  #data = null;
  #id = "";

  /** push takes a Uint8Array and returns the events that it completed. */
  push(bytes) {
    return this.#take(this.#decoder.decode(bytes, { stream: true }));
  }

  /** end returns the events that the end of the stream completed. */
  end() {
    const events = this.#take(this.#decoder.decode());
    if (this.#rest) this.#line(this.#rest);
    this.#rest = "";
    const last = this.#dispatch();
    if (last) events.push(last);
    return events;
  }

  #take(text) {
    const events = [];
    if (!text) return events;
    if (this.#afterCR && text.startsWith("\n")) text = text.slice(1);
    this.#afterCR = text ? text.endsWith("\r") : false;
    const ends = /\r\n|\r|\n/g;
    let from = 0;
    for (let end; (end = ends.exec(text)); from = ends.lastIndex) {
      const line = this.#rest + text.slice(from, end.index);
      this.#rest = "";
      if (line) {
        this.#line(line);
        continue;
      }
      const event = this.#dispatch();
      if (event) events.push(event);
    }
    this.#rest += text.slice(from);
    if (this.#rest.length + (this.#data?.length ?? 0) > maxPending) throw new Failure("protocol");
    return events;
  }

  #line(line) {
    const colon = line.indexOf(":");
    if (colon === 0) return; // a comment
    const field = colon < 0 ? line : line.slice(0, colon);
    let value = colon < 0 ? "" : line.slice(colon + 1);
    if (value.startsWith(" ")) value = value.slice(1);
    if (field === "data") this.#data = this.#data === null ? value : `${this.#data}\n${value}`;
    if (field === "id" && !value.includes("\0")) this.#id = value;
  }

  #dispatch() {
    const data = this.#data;
    this.#data = null;
    return data === null ? null : { id: this.#id, data };
  }
}

/** readEvents yields the events of a ReadableStream of bytes and cancels it when left. */
export async function* readEvents(body, idle = idleMS) {
  const reader = body.getReader();
  const parser = new EventParser();
  try {
    for (;;) {
      const { done, value } = await patient(reader.read(), idle);
      yield* done ? parser.end() : parser.push(value);
      if (done) return;
    }
  } finally {
    reader.cancel().catch(() => { /* already broken */ });
  }
}

/** patient waits for a promise, but not longer than ms. */
async function patient(promise, ms) {
  let timer;
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Failure("timeout")), ms);
  });
  try {
    return await Promise.race([promise, late]);
  } finally {
    clearTimeout(timer);
  }
}
