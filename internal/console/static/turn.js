// One question and what has come back for it. The view reads it, the chat
// writes it, storage keeps it.

import { Failure } from "./failure.js";

export class Turn {
  query = "";
  answer = "";
  note = "";        // content of a handoff event beside an answer
  stage = "";
  route = "";
  sources = [];
  said = [];        // by people and about them, after the answer: {agent, content}
  metadata = null;  // of the end event
  failure = null;
  status = "asking"; // asking → done | stopped | failed
  lastEventID = "";  // kept while the stream may be taken up again

  constructor(query) {
    this.query = query;
  }

  /** again makes the turn ready for another attempt and returns the id to resume at, or "". */
  again() {
    const resume = this.failure?.kind === "cut" || this.failure?.kind === "timeout" ? this.lastEventID : "";
    if (!resume) this.#clear();
    Object.assign(this, { failure: null, status: "asking", stage: "", lastEventID: "" });
    return resume;
  }

  #clear() {
    Object.assign(this, { answer: "", note: "", route: "", sources: [], metadata: null });
  }

  /** apply takes one event in. Unknown types are ignored: newer servers may send more. */
  apply(event) {
    if (event.eventID) this.lastEventID = event.eventID;
    if (event.route) this.route = event.route;
    if (Array.isArray(event.sources)) this.sources = event.sources;
    const content = typeof event.content === "string" ? event.content : "";
    switch (event.type) {
      case "start":
        this.#clear();
        break;
      case "stage":
        this.stage = event.stage ?? "";
        break;
      case "chunk":
        this.answer += content;
        break;
      case "replace":
        this.answer = content;
        break;
      case "handoff":
        this.route = "handoff";
        if (this.answer) this.note = content;
        else this.answer = content;
        break;
      case "error":
        throw new Failure("stream", { code: event.code ?? "", message: event.message ?? "" });
      case "end":
        this.metadata = event.metadata ?? {};
        this.route ||= this.metadata.intent ?? "";
        break;
    }
  }

  /** hear takes an event of the session's own stream; it reports whether there is something new to read. */
  hear(event) {
    const content = typeof event.content === "string" ? event.content : "";
    if (!content || (event.type !== "message" && event.type !== "handoff")) return false;
    this.said.push({ agent: event.type === "message" ? String(event.agent ?? "") : "", content });
    return true;
  }

  /**
   * finish ends a stream that broke nothing. Without an end event it is cut
   * short, unless a human took over: then handoff is the last event.
   */
  finish() {
    if (!this.metadata && this.route !== "handoff") throw new Failure("cut");
    this.metadata ??= { state: "human" };
    this.status = "done";
    this.lastEventID = "";
  }

  stop() {
    this.status = "stopped";
  }

  fail(failure) {
    this.failure = failure;
    this.status = "failed";
  }

  /** plain returns what storage keeps. */
  plain() {
    const { query, answer, note, route, sources, said, metadata, status } = this;
    return { query, answer, note, route, sources, said, metadata, status, failure: this.failure?.plain?.() ?? null };
  }

  /** restore makes a Turn of what storage kept, or null. A turn that was being answered has failed. */
  static restore(kept) {
    if (typeof kept?.query !== "string" || typeof kept.answer !== "string") return null;
    const turn = new Turn(kept.query);
    Object.assign(turn, kept, { sources: Array.isArray(kept.sources) ? kept.sources : [], said: Array.isArray(kept.said) ? kept.said : [] });
    turn.failure = kept.failure ? new Failure(kept.failure.kind, kept.failure) : null;
    if (turn.status === "asking") turn.fail(new Failure("left"));
    return turn;
  }
}
