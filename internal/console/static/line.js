// The line to a person: what happens in a conversation besides its answers,
// heard while a human has it or is waited for. A line that breaks is taken up
// again where it was; the last event heard is kept with the tab.

import { follow } from "./client.js";
import { tab } from "./storage.js";

const firstWait = 1_000; // ms before the second attempt; doubled up to
const longestWait = 30_000;

export class Line {
  #hear;
  #follow;
  #wait;
  #abort = null;

  /** hear is called with each event: {type: state | handoff | message, …}. */
  constructor(hear, { source = follow, wait = firstWait } = {}) {
    this.#hear = hear;
    this.#follow = source;
    this.#wait = wait;
  }

  get open() {
    return this.#abort !== null;
  }

  /** start listens to a session until stop. Nothing happens if it does already. */
  start(session) {
    if (this.#abort || !session) return;
    this.#abort = new AbortController();
    this.#run(session, this.#abort);
  }

  stop() {
    this.#abort?.abort();
    this.#abort = null;
  }

  /** forget makes the next start begin with the latest handoff. */
  forget() {
    this.stop();
    tab.set("heard", "");
  }

  async #run(session, abort) {
    const { signal } = abort;
    let wait = this.#wait;
    while (!signal.aborted) {
      try {
        for await (const event of this.#follow({ session, last: tab.get("heard"), signal })) {
          if (signal.aborted) return;
          wait = this.#wait;
          if (event.eventID) tab.set("heard", event.eventID);
          this.#hear(event);
        }
      } catch (err) {
        if (err?.status === 400) tab.set("heard", ""); // of another session
        else if (err?.status >= 401 && err.status < 429) break; // asking again changes nothing
      }
      if (signal.aborted) return;
      await pause(wait, signal);
      wait = Math.min(wait * 2, longestWait);
    }
    if (this.#abort === abort) this.#abort = null;
  }
}

function pause(ms, signal) {
  return new Promise((done) => {
    const timer = setTimeout(done, ms);
    signal.addEventListener("abort", () => {
      clearTimeout(timer);
      done();
    }, { once: true });
  });
}
