// The reader shows a citation in its document: beside the conversation on a
// wide page, over it as a modal dialog on a narrow one.

import { splitAtBytes } from "./bytes.js";
import { original, ownLink } from "./client.js";
import { byId, h, icon } from "./dom.js";
import { failureOf } from "./failure.js";
import { known, say, t } from "./i18n.js";

// On each side of a quote this many characters are laid out at once, some ten
// pages; more on request. 2 MB of text take a browser seconds to lay out.
const nearby = 20_000;

export class Reader {
  #dialog = byId("reader");
  #body = byId("reader-text");
  #wide = matchMedia("(min-width: 62rem)");
  #texts = new Map(); // address → original
  #loading = null;
  #sources = [];
  #n = 0;
  #opener = null;
  #turn = null; // the element that opener is in

  constructor() {
    byId("reader-close").addEventListener("click", () => this.close());
    byId("reader-prev").addEventListener("click", () => this.#show(this.#n - 1));
    byId("reader-next").addEventListener("click", () => this.#show(this.#n + 1));
    this.#dialog.addEventListener("keydown", (event) => {
      if (event.key !== "Escape" || event.isComposing) return;
      event.preventDefault();
      event.stopPropagation();
      this.close();
    });
    this.#dialog.addEventListener("cancel", (event) => { // Android's back gesture
      event.preventDefault();
      this.close();
    });
    this.#wide.addEventListener("change", () => {
      if (this.#dialog.open) this.#present();
    });
  }

  /** open shows source n (from 1) of sources; the focus returns to opener on close. */
  open(sources, n, opener) {
    this.#sources = sources;
    this.#opener = opener;
    this.#turn = opener.closest(".turn");
    if (!this.#dialog.open) this.#present();
    this.#show(n);
    byId("reader-title").focus({ preventScroll: true });
  }

  close() {
    if (!this.#dialog.open) return;
    this.#loading?.abort();
    this.#dialog.close();
    document.body.classList.remove("reading");
    this.#mark(null);
    // The chip may have been made anew while its answer was being drawn.
    const back = this.#opener.isConnected ? this.#opener : this.#turn?.querySelector(`[data-n="${this.#n}"]`);
    (back ?? byId("question")).focus({ preventScroll: true });
  }

  // Modal or beside, by the width of the page.
  #present() {
    if (this.#dialog.open) this.#dialog.close();
    if (this.#wide.matches) this.#dialog.show();
    else this.#dialog.showModal();
    document.body.classList.toggle("reading", this.#wide.matches);
  }

  async #show(n) {
    this.#n = n;
    this.#head();
    this.#mark(this.#turn);
    this.#loading?.abort();
    const loading = this.#loading = new AbortController();
    const source = this.#sources[n - 1];
    const address = source.url ?? "";
    try {
      let found = this.#texts.get(address);
      if (!found) {
        this.#wait();
        found = await original(address, loading.signal);
        this.#texts.set(address, found);
      }
      if (loading.signal.aborted) return;
      this.#fill(found, source);
    } catch (err) {
      if (!loading.signal.aborted) this.#fail(failureOf(err), n);
    }
  }

  #head() {
    const n = this.#n;
    const { title, heading, version } = this.#sources[n - 1]?.metadata ?? {};
    byId("reader-title").textContent = title || t("untitled");
    say(byId("reader-place"), "reader.place", { n, all: this.#sources.length });
    byId("reader-prev").disabled = n <= 1;
    byId("reader-next").disabled = n >= this.#sources.length;
    byId("reader-meta").replaceChildren(...[
      heading && h("span", null, heading),
      version && say(h("span"), "reader.version", { n: version }),
    ].filter(Boolean));
    const link = byId("reader-open");
    const url = ownLink(this.#sources[n - 1]?.url);
    link.hidden = !url;
    if (url) link.href = url.href;
    else link.removeAttribute("href");
  }

  #wait() {
    this.#body.replaceChildren(
      say(h("p", { class: "hidden", role: "status" }), "reader.loading"),
      h("div", { class: "skeleton", "aria-hidden": "true" }, ...Array.from({ length: 9 }, () => h("span"))));
  }

  #fail(failure, n) {
    let key = "reader.failed";
    if (failure.kind === "foreign") key = "reader.foreign";
    else if ([401, 403, 404, 410].includes(failure.status)) key = "reader.expired";
    else if (failure.kind !== "http" && known(`fail.${failure.kind}`)) key = `fail.${failure.kind}`;
    const again = h("button", { type: "button", class: "button" }, icon("retry"), say(h("span"), "retry"));
    again.addEventListener("click", () => this.#show(n));
    this.#body.replaceChildren(h("div", { class: "trouble", role: "alert" },
      icon("alert"),
      h("div", null, say(h("p"), key), failure.message && h("p", { class: "fine" }, failure.message),
        key === "reader.foreign" || key === "reader.expired" ? null : again)));
  }

  #fill(found, source) {
    const { before, quote, after } = splitAtBytes(found.text, found.start, found.end);
    const exact = quote === source.content;
    byId("reader-meta").append(h("span", { class: exact ? "proof" : "proof doubt" }, icon(exact ? "check" : "alert"),
      say(h("span"), exact ? "reader.exact" : "reader.moved")));
    const mark = h("mark", null, ...lines(quote));
    this.#body.replaceChildren(h("div", { class: "original" }, ...near(before, true), mark, ...near(after, false)));
    const place = mark.getBoundingClientRect().top - this.#body.getBoundingClientRect().top;
    this.#body.scrollTo({ top: this.#body.scrollTop + place - this.#body.clientHeight / 4, behavior: "instant" });
  }

  // Shows on the answer's chips which source is open.
  #mark(turn) {
    for (const chip of document.querySelectorAll("[data-n][aria-current]")) chip.removeAttribute("aria-current");
    for (const chip of turn?.querySelectorAll(`[data-n="${this.#n}"]`) ?? []) chip.setAttribute("aria-current", "true");
  }
}

// The part of a text next to the quote, and a button for the next part.
function near(text, before, size = nearby) {
  if (text.length <= size) return lines(text);
  let cut = before ? text.length - size : size;
  if (/[\udc00-\udfff]/.test(text[cut])) cut++; // not inside a surrogate pair
  const [far, close] = before ? [text.slice(0, cut), text.slice(cut)] : [text.slice(cut), text.slice(0, cut)];
  const more = h("button", { type: "button", class: "quiet more" });
  say(more, before ? "reader.before" : "reader.after");
  more.addEventListener("click", () => {
    const part = near(far, before, 4 * nearby);
    more.replaceWith(...part);
    (part.find((node) => node.tagName === "BUTTON") ?? byId("reader-text")).focus({ preventScroll: true });
  });
  return before ? [more, ...lines(close)] : [...lines(close), more];
}

// The lines of a text in spans, its line ends between them (see .original).
function lines(text) {
  return text.split(/(\n+)/).filter(Boolean).map((part) => (part[0] === "\n" ? part : h("span", null, part)));
}
