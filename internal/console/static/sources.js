// The chips of an answer: [n] inside its text and the list below it.

import { h, icon } from "./dom.js";
import { label, say, t } from "./i18n.js";

function titleOf(source) {
  return source?.metadata?.title || t("untitled");
}

/** citeChip makes the inline button of marker [n]; open(n, button) shows the source. */
export function citeChip(sources, n, open) {
  const source = sources[n - 1];
  if (!source) return null;
  const chip = h("button", { type: "button", class: "cite", "data-n": n }, String(n));
  chip.addEventListener("click", () => open(n, chip));
  return label(chip, "source", { n, title: titleOf(source) });
}

/**
 * sourceList makes the list below an answer: those that the text cites first,
 * the others behind a button. If it cites none, all are shown.
 */
export function sourceList(sources, cited, open) {
  const shown = cited.filter((n) => sources[n - 1]);
  const all = sources.map((_, i) => i + 1);
  const first = shown.length ? shown.sort((a, b) => a - b) : all;
  const rest = all.filter((n) => !first.includes(n));
  const list = h("ul", { class: "sources" }, ...first.map((n) => h("li", null, sourceChip(sources, n, open))));
  if (rest.length) {
    const item = h("li");
    const more = h("button", { type: "button", class: "quiet more" }, icon("new"), say(h("span"), "sources.more", { n: rest.length }));
    more.addEventListener("click", () => {
      const chips = rest.map((n) => h("li", null, sourceChip(sources, n, open)));
      item.replaceWith(...chips);
      chips[0].firstChild.focus();
    });
    item.append(more);
    list.append(item);
  }
  return [say(h("h3", { class: "label" }), "sources"), list];
}

// Where two sources stand under one heading, the words of the quote tell them apart.
function placeOf(sources, n) {
  const here = ({ metadata }) => JSON.stringify([metadata?.doc_id, metadata?.heading]);
  const { content, metadata } = sources[n - 1];
  const alone = sources.filter((other) => here(other) === here(sources[n - 1])).length === 1;
  return alone ? metadata?.heading : content;
}

function sourceChip(sources, n, open) {
  const title = titleOf(sources[n - 1]);
  const place = placeOf(sources, n);
  const chip = h("button", { type: "button", class: "source", "data-n": n },
    h("span", { class: "source-n" }, String(n)),
    h("span", { class: "source-name" },
      h("span", { class: "source-title" }, title),
      place && place !== title ? h("span", { class: "source-place" }, place) : null),
    icon("right"));
  chip.addEventListener("click", () => open(n, chip));
  return chip;
}
