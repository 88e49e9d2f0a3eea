// The question box: Enter sends, Shift+Enter breaks the line, and an input
// method that is composing keeps its Enter.

import { byId } from "./dom.js";
import { tab } from "./storage.js";

export class Composer {
  #form = byId("composer");
  #box = byId("question");
  #send = byId("send");
  #stop = byId("stop");
  #busy = false;

  /** send(text) gets a question, stop() ends the answer under way. */
  constructor({ send, stop }) {
    this.#box.value = tab.get("draft");
    this.#box.addEventListener("input", () => this.#changed());
    this.#box.addEventListener("keydown", (event) => {
      // Safari ends the composition before the keydown of its Enter, which then
      // has keyCode 229 (UI Events, §"keyCode 229").
      const composing = event.isComposing || event.keyCode === 229;
      if (event.key !== "Enter" || event.shiftKey || composing) return;
      event.preventDefault();
      this.#form.requestSubmit();
    });
    this.#form.addEventListener("submit", (event) => {
      event.preventDefault();
      const text = this.#box.value.trim();
      if (!text || this.#busy) return;
      this.#box.value = "";
      this.#changed();
      send(text);
    });
    this.#stop.addEventListener("click", () => {
      stop();
      this.focus();
    });
    this.#changed();
  }

  /** focus puts the caret in the box, except where that would raise a keyboard over the page. */
  focus() {
    if (!matchMedia("(pointer: coarse)").matches) this.#box.focus({ preventScroll: true });
  }

  /** take puts a question into the box, after what is there. */
  take(text) {
    this.#box.value = [this.#box.value.trim(), text].filter(Boolean).join("\n");
    this.#changed();
    this.#box.focus();
  }

  /** busy swaps the send button for the stop button. */
  busy(is) {
    const held = is ? this.#send : this.#stop;
    const focused = document.activeElement === held;
    this.#busy = is;
    this.#send.hidden = is;
    this.#stop.hidden = !is;
    if (focused) (is ? this.#stop : this.#box).focus({ preventScroll: true });
  }

  #changed() {
    const box = this.#box;
    box.style.height = "auto";
    box.style.height = `${box.scrollHeight}px`;
    this.#send.disabled = box.value.trim() === "";
    tab.set("draft", box.value);
  }
}
