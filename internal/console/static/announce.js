// The polite live region. A streamed answer is read a sentence at a time, never
// a token at a time, so that a screen reader can keep up.

import { byId, h } from "./dom.js";
import { spoken } from "./format.js";

// Long enough that a reader finishes a short sentence before the next is queued.
const paceMS = 1500;
const sentenceEnd = /[。！？!?；;\n]|\.\s/g;

/** announce says one thing now. */
export function announce(text) {
  if (!text.trim()) return;
  const region = byId("announcer");
  while (region.childNodes.length > 20) region.firstChild.remove();
  region.append(h("p", null, text));
}

/** Narrator reads a growing text aloud, by sentences. */
export class Narrator {
  #text = "";
  #said = 0;
  #timer = 0;

  /** follow takes the text so far. */
  follow(text) {
    this.#text = text;
    this.#timer ||= setTimeout(() => {
      this.#timer = 0;
      this.#speak(this.#lastEnd());
    }, paceMS);
  }

  /** restart forgets what was said: the text was replaced. */
  restart() {
    this.#said = 0;
  }

  /** finish says what is left of text. */
  finish(text) {
    this.stop();
    this.#text = text;
    this.#speak(text.length);
  }

  stop() {
    clearTimeout(this.#timer);
    this.#timer = 0;
  }

  #lastEnd() {
    let end = this.#said;
    for (const m of this.#text.slice(this.#said).matchAll(sentenceEnd)) end = this.#said + m.index + m[0].length;
    return end;
  }

  #speak(end) {
    if (end <= this.#said) return;
    announce(spoken(this.#text.slice(this.#said, end)));
    this.#said = end;
  }
}
