// The conversation: turns, the one answer under way, the session and its state.

import { announce, Narrator } from "./announce.js";
import { AnswerView } from "./answer.js";
import { ask } from "./client.js";
import { byId, calm } from "./dom.js";
import { failureOf } from "./failure.js";
import { say, t } from "./i18n.js";
import { Line } from "./line.js";
import { tab } from "./storage.js";
import { Turn } from "./turn.js";

const remembered = 50; // turns kept over a reload; storage holds about 5 MB
const nearEnd = 96;    // px: closer than this to the end, the page follows new text

export class Chat {
  #scroll = byId("scroll");
  #list = byId("turns");
  #welcome = byId("welcome");
  #latest = byId("latest");
  #turns = [];
  #views = new Map(); // Turn → AnswerView
  #abort = null;      // of the answer under way
  #follow = true;
  #does;
  #line = new Line((event) => this.#hear(event));

  /** does has open(sources, n, chip), key(), edit(query) and busy(is). */
  constructor(does) {
    this.#does = does;
    this.#scroll.addEventListener("scroll", () => this.#scrolled(), { passive: true });
    this.#latest.addEventListener("click", () => this.#toEnd(true));
    new ResizeObserver(() => this.#grown()).observe(this.#list);
    new ResizeObserver(() => this.#grown()).observe(this.#scroll);
    for (const kept of tab.read("turns", [])) {
      const turn = Turn.restore(kept);
      if (turn) this.#add(turn);
    }
    this.#state(tab.get("state"));
    this.#arrange();
  }

  get busy() {
    return this.#abort !== null;
  }

  /** ask sends a question as a new turn. Nothing happens while another is being answered. */
  ask(query) {
    if (this.busy) return;
    const turn = new Turn(query);
    this.#add(turn);
    this.#arrange();
    this.#toEnd();
    this.#run(turn, "");
  }

  /** human asks for a person, also in the middle of an answer. */
  async human() {
    const running = this.#running;
    this.stop();
    await running;
    this.ask(t("humanQuery"));
  }

  /** cancel takes the request for a person back. */
  cancel() {
    this.ask(t("cancelQuery"));
  }

  /** stop ends the answer under way and keeps what has arrived. */
  stop() {
    this.#abort?.abort();
  }

  /** restart forgets the conversation and begins a new session. */
  async restart() {
    const running = this.#running;
    this.stop();
    await running;
    for (const view of this.#views.values()) {
      view.leave();
      view.node.remove();
    }
    this.#views.clear();
    this.#turns = [];
    for (const name of ["turns", "session", "state"]) tab.set(name, "");
    this.#state("");
    this.#line.forget();
    this.#arrange();
    announce(t("say.newChat"));
  }

  #running = Promise.resolve();

  #add(turn) {
    const view = new AnswerView(turn, {
      open: this.#does.open,
      key: this.#does.key,
      edit: this.#does.edit,
      human: () => this.human(),
      retry: (failed) => this.#retry(failed),
    });
    this.#turns.push(turn);
    this.#views.set(turn, view);
    this.#list.append(view.node);
  }

  #retry(turn) {
    if (this.busy) return;
    this.#run(turn, turn.again());
  }

  #run(turn, resume) {
    this.#running = this.#answer(turn, resume);
  }

  async #answer(turn, resume) {
    const abort = this.#abort = new AbortController();
    const view = this.#views.get(turn);
    const narrator = new Narrator();
    let begun = false;
    this.#does.busy(true);
    this.#keep();
    view.update(true);
    announce(t("say.asking"));
    try {
      const session = tab.get("session");
      for await (const event of ask({ query: turn.query, session, resume, signal: abort.signal })) {
        begun = true;
        if (event.type === "start" && event.session_id) tab.set("session", event.session_id);
        turn.apply(event);
        if (event.type === "replace") {
          narrator.restart();
          announce(t("say.replaced"));
        }
        narrator.follow(turn.answer);
        view.update();
        if (event.type === "end") break;
      }
      turn.finish();
      narrator.finish(turn.answer);
      this.#state(turn.metadata.state ?? "");
      announce(t("say.done", { n: turn.sources.length }));
    } catch (err) {
      narrator.stop();
      if (abort.signal.aborted) {
        turn.stop();
        announce(t("say.stopped"));
      } else {
        turn.fail(failureOf(err, begun));
      }
    } finally {
      this.#abort = null;
      view.update(true);
      this.#keep();
      this.#does.busy(false);
    }
  }

  // Who has the conversation, when it is not the machine.
  #state(state) {
    const kept = state === "waiting" || state === "human" ? state : "";
    tab.set("state", kept);
    byId("state").hidden = !kept;
    if (kept) say(byId("state-text"), `state.${kept}`);
    if (kept) this.#line.start(tab.get("session"));
    else this.#line.stop();
  }

  // What a person said, or what became of the request for one.
  #hear(event) {
    const turn = this.#turns.at(-1);
    if (turn?.hear(event)) {
      this.#views.get(turn).update();
      this.#keep();
      announce(event.type === "message" ? t("say.person", { name: event.agent ?? "", text: event.content }) : event.content);
    }
    // A turn under way knows better: its answer tells how the session stands.
    if (typeof event.state === "string" && !this.busy) this.#state(event.state);
  }

  #keep() {
    tab.write("turns", this.#turns.slice(-remembered).map((turn) => turn.plain()));
  }

  #arrange() {
    this.#welcome.hidden = this.#turns.length > 0;
    document.body.classList.toggle("empty", this.#turns.length === 0);
  }

  #distance() {
    return this.#scroll.scrollHeight - this.#scroll.scrollTop - this.#scroll.clientHeight;
  }

  #scrolled() {
    this.#follow = this.#distance() < nearEnd;
    this.#latest.hidden = this.#follow || !this.#turns.length;
  }

  #grown() {
    if (this.#follow && this.#turns.length) this.#toEnd();
    else this.#latest.hidden = !this.#turns.length || this.#distance() < nearEnd;
  }

  #toEnd(smooth = false) {
    this.#follow = true;
    this.#latest.hidden = true;
    this.#scroll.scrollTo({ top: this.#scroll.scrollHeight, behavior: smooth && !calm() ? "smooth" : "instant" });
  }
}
