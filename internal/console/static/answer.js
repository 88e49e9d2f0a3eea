// The view of one turn: its question as a heading, then the answer with its
// badges, notices, sources and, when something failed, what to do about it.

import { h, icon, section } from "./dom.js";
import { markersOf, renderAnswer } from "./format.js";
import { known, say } from "./i18n.js";
import { citeChip, sourceList } from "./sources.js";

const routes = new Set(["knowledge", "order", "direct", "handoff"]);
const stages = new Set(["understand", "retrieve", "answer"]);

/**
 * AnswerView shows a Turn. does has the callbacks open(sources, n, chip),
 * retry(turn), human(), edit(query) and key() (open the settings).
 */
export class AnswerView {
  #turn;
  #does;
  #frame = 0;
  #countdown = 0;
  #waitUntil = 0;
  #parts = {
    badges: h("div", { class: "badges" }),
    text: h("div", { class: "text" }),
    notices: h("div", { class: "notices" }),
    sources: h("div", { class: "cited" }),
    trouble: h("div", { class: "outcome" }),
    fine: h("p", { class: "fine" }),
    said: h("div", { class: "said" }),
  };

  constructor(turn, does) {
    this.#turn = turn;
    this.#does = does;
    const id = `q-${Math.random().toString(36).slice(2)}`;
    const { badges, text, notices, sources, trouble, fine, said } = this.#parts;
    this.node = h("article", { class: "turn", "aria-labelledby": id },
      h("h2", { class: "asked", id }, turn.query),
      h("div", { class: "answer" }, badges, text, notices, trouble, sources, fine, said));
    this.#draw();
  }

  /** update draws the turn before the next frame, or at once for a final state. */
  update(now = false) {
    if (now) {
      cancelAnimationFrame(this.#frame);
      this.#frame = 0;
      this.#draw();
      return;
    }
    this.#frame ||= requestAnimationFrame(() => {
      this.#frame = 0;
      this.#draw();
    });
  }

  /** leave ends its timers; the node is removed by the caller. */
  leave() {
    cancelAnimationFrame(this.#frame);
    clearInterval(this.#countdown);
  }

  #draw() {
    const turn = this.#turn;
    const live = turn.status === "asking";
    const quoted = Boolean(turn.metadata?.quoted);
    this.node.dataset.status = turn.status;
    this.node.classList.toggle("is-quoted", quoted);
    this.node.setAttribute("aria-busy", String(live));
    this.#badges(turn, live, quoted);
    const open = (n, chip) => this.#does.open(turn.sources, n, chip);
    renderAnswer(this.#parts.text, turn.answer, {
      verbatim: quoted, live, salt: JSON.stringify(turn.sources.map((s) => s?.metadata?.title)),
      cite: (n) => citeChip(turn.sources, n, open),
    });
    this.#parts.text.classList.toggle("live", live && turn.answer !== "");
    this.#notices(turn, live);
    this.#sources(turn, live, open);
    this.#trouble(turn);
    this.#fine(turn);
    this.#said(turn);
  }

  #badges(turn, live, quoted) {
    const route = routes.has(turn.route) ? turn.route : "";
    const stage = live ? (stages.has(turn.stage) ? turn.stage : "wait") : "";
    const took = turn.metadata?.duration_ms ?? 0;
    section(this.#parts.badges, [route, quoted, stage, took], () => {
      const nodes = [];
      if (route) nodes.push(say(h("span", { class: "badge" }), `route.${route}`));
      if (quoted) {
        const words = say(h("span"), "quoted");
        const badge = h("span", { class: "badge quoted" }, icon("quote"), words);
        nodes.push(badge, say(h("span", { class: "badge-note" }), "quoted.note"));
      }
      if (took > 0) nodes.push(h("span", { class: "took" }, took < 100 ? `${took} ms` : `${(took / 1000).toFixed(1)} s`));
      if (stage) nodes.push(h("span", { class: "stage" }, h("i", { class: "pulse", "aria-hidden": "true" }), say(h("span"), `stage.${stage}`)));
      return nodes;
    });
  }

  #notices(turn, live) {
    const { abstained, supported, offer, state } = turn.metadata ?? {};
    const silent = !live && turn.status === "done" && !turn.answer && !turn.note;
    section(this.#parts.notices, [turn.note, abstained, supported, offer, turn.answer === "", silent, state], () => {
      const nodes = [];
      if (turn.note) nodes.push(notice("person", h("p", null, turn.note)));
      if (silent && !abstained) {
        const key = state === "waiting" || state === "human" ? `delivered.${state}` : "empty";
        nodes.push(h("p", { class: "aside" }, say(h("span"), key)));
      }
      if (supported === false) nodes.push(notice("alert", say(h("p"), "unsupported")));
      if (abstained || offer === "handoff") {
        const human = h("button", { type: "button", class: "button" }, say(h("span"), "abstained.human"));
        human.addEventListener("click", () => this.#does.human());
        nodes.push(h("div", { class: "notice offer" }, say(h("p"), abstained && !turn.answer ? "abstained" : "abstained.offer"), human));
      }
      return nodes;
    });
  }

  #said(turn) {
    section(this.#parts.said, turn.said, () => turn.said.map(({ agent, content }) => notice("person",
      agent ? h("p", { class: "agent" }, String(agent)) : null, h("p", { class: "words" }, String(content ?? "")))));
  }

  #sources(turn, live, open) {
    const cited = markersOf(turn.answer);
    // While text arrives the list follows the markers; the rest joins at the end.
    const shown = turn.status !== "done" && !cited.length ? [] : turn.sources;
    section(this.#parts.sources, [live, cited, shown], () => {
      if (!shown.length) return [];
      const nodes = sourceList(shown, cited, open);
      if (live) nodes[1].querySelector(".more")?.parentNode.remove();
      return nodes;
    });
  }

  #trouble(turn) {
    const { failure, status } = turn;
    section(this.#parts.trouble, [status, failure?.plain()], () => {
      clearInterval(this.#countdown);
      if (status === "stopped") {
        return [h("div", { class: "aside" }, say(h("span"), "stopped"), this.#retryButton("askAgain"))];
      }
      if (status !== "failed") return [];
      const words = [say(h("p", { class: "trouble-what" }), failure.key(known), { status: failure.status })];
      if (failure.message) words.push(h("p", null, failure.message));
      const small = smallPrint(failure);
      if (small) words.push(small);
      const acts = [this.#retryButton("retry", failure.retryAfter)];
      if ([400, 413, 422].includes(failure.status)) { // the question itself will not do
        const edit = say(h("button", { type: "button", class: "button" }), "edit");
        edit.addEventListener("click", () => this.#does.edit(turn.query));
        acts.unshift(edit);
      }
      if (failure.status === 401) {
        const key = say(h("button", { type: "button", class: "button" }), "enterKey");
        key.addEventListener("click", () => this.#does.key());
        acts.unshift(key);
      }
      return [h("div", { class: "trouble", role: "alert" }, icon("alert"),
        h("div", null, ...words, h("div", { class: "acts" }, ...acts)))];
    });
  }

  // With seconds, the button counts down before it can be used. It stays
  // focusable (aria-disabled), so that the keyboard does not lose its place.
  #retryButton(key, seconds = 0) {
    const words = say(h("span"), key);
    const button = h("button", { type: "button", class: "button retry" }, icon("retry"), words);
    button.addEventListener("click", () => {
      if (button.getAttribute("aria-disabled") !== "true") this.#does.retry(this.#turn);
    });
    if (seconds > 0) {
      this.#waitUntil = Date.now() + seconds * 1000;
      const tick = () => {
        const left = Math.ceil((this.#waitUntil - Date.now()) / 1000);
        button.setAttribute("aria-disabled", String(left > 0));
        if (left > 0) {
          say(words, "retryIn", { n: left });
          return;
        }
        say(words, key);
        clearInterval(this.#countdown);
      };
      tick();
      this.#countdown = setInterval(tick, 250);
    }
    return button;
  }

  #fine(turn) {
    const names = turn.metadata?.degraded ?? [];
    section(this.#parts.fine, names, () => (names.length ? [say(h("span"), "degraded", { names })] : []));
  }
}

function notice(symbol, ...children) {
  return h("div", { class: "notice" }, icon(symbol), h("div", null, ...children));
}

// What support will ask for: the details and the trace id.
function smallPrint({ details, trace }) {
  const facts = Object.entries(details ?? {})
    .filter(([, value]) => ["string", "number", "boolean"].includes(typeof value))
    .map(([name, value]) => `${name}: ${value}`);
  if (!facts.length && !trace) return null;
  return h("p", { class: "fine" },
    facts.length ? h("span", null, facts.join(" · ")) : null,
    trace ? say(h("span", { class: "trace" }), "trace", { id: trace }) : null);
}
