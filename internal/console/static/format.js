// An answer's text as DOM nodes: paragraphs, line breaks, headings, lists,
// code, emphasis, web addresses and citation markers like [1]. Everything else,
// HTML included, stays the text it is.

import { h } from "./dom.js";

/**
 * blocksOf cuts a text into blocks {kind, lines, lang?, start?}. With verbatim
 * = true (quoted text) only paragraphs are made: a document's own "*" and "#"
 * are not ours to interpret.
 */
export function blocksOf(text, verbatim = false) {
  const blocks = [];
  let open = null; // the block that the next line may continue
  for (const line of text.replaceAll("\r\n", "\n").split("\n")) {
    if (open?.kind === "code") {
      if (/^\s*```\s*$/.test(line)) open = null;
      else open.lines.push(line);
      continue;
    }
    const next = verbatim ? null : structure(line);
    if (next && next.kind === open?.kind && next.kind !== "heading") {
      open.lines.push(...next.lines);
    } else if (next) {
      blocks.push(next);
      open = next.kind === "heading" ? null : next;
    } else if (!line.trim()) {
      // A list goes on over blank lines when another item follows.
      if (open?.kind === "paragraph") open = null;
    } else if (open?.kind === "paragraph") {
      open.lines.push(line);
    } else if (open && /^\s{2,}\S/.test(line)) {
      open.lines[open.lines.length - 1] += "\n" + line.trim();
    } else {
      open = { kind: "paragraph", lines: [line] };
      blocks.push(open);
    }
  }
  return blocks;
}

// The block that a line opens by its first characters, or null.
function structure(line) {
  let m;
  if (/^\s*```/.test(line)) return { kind: "code", lines: [] };
  if ((m = /^#{1,6}\s+(.+?)\s*#*$/.exec(line))) return { kind: "heading", lines: [m[1]] };
  if ((m = /^\s*[-*•·]\s+(.*)$/.exec(line))) return { kind: "bullets", lines: [m[1]] };
  if ((m = /^\s*(\d{1,3})(?:[.)）]\s+|、\s*)(.*)$/.exec(line))) return { kind: "numbers", start: Number(m[1]), lines: [m[2]] };
  return null;
}

const inline = /`([^`\n]+)`|\*\*([^*\n]+)\*\*|\[(\d{1,3})\]|(https?:\/\/[^\s<>"'`，。；：！？、（）【】《》「」『』“”‘’…]+)/gi;

/**
 * inlineNodes returns the nodes of one run of text. cite(n) makes the node of
 * marker [n], or returns null where there is no such source: then the marker
 * stays text.
 */
export function inlineNodes(text, cite, verbatim = false) {
  const nodes = [];
  let from = 0;
  const plain = (to) => {
    text.slice(from, to).split("\n").forEach((part, i) => {
      if (i > 0) nodes.push(h("br"));
      if (part) nodes.push(part);
    });
  };
  for (const m of text.matchAll(inline)) {
    const [found, code, strong, marker, address] = m;
    let node = null;
    let length = found.length;
    if (marker) node = cite(Number(marker));
    else if (address) ({ node, length } = link(address));
    else if (verbatim) continue;
    else if (code) node = h("code", null, code);
    else if (strong) node = h("strong", null, ...inlineNodes(strong, cite));
    if (!node) continue;
    plain(m.index);
    from = m.index + length;
    const close = marker && /^[，。；：！？、）」』”’,.;:!?)]+/.exec(text.slice(from));
    if (close) { // a line must not begin with a full stop
      node = h("span", { class: "keep" }, node, close[0]);
      from += close[0].length;
    }
    nodes.push(node);
  }
  plain(text.length);
  return nodes;
}

// A link shows its whole address, so that its words cannot name another place.
function link(address) {
  const text = trimmed(address);
  let url;
  try {
    url = new URL(text);
  } catch {
    return { node: null, length: 0 };
  }
  if (url.protocol !== "http:" && url.protocol !== "https:") return { node: null, length: 0 };
  return {
    node: h("a", { href: url.href, target: "_blank", rel: "noopener noreferrer nofollow" }, text),
    length: text.length,
  };
}

// Punctuation that ends a sentence, and brackets that the address did not open,
// are not the address's.
function trimmed(address) {
  let text = address;
  for (;;) {
    const last = text.at(-1);
    const opener = { ")": "(", "]": "[", "}": "{" }[last];
    const unopened = opener && text.split(last).length > text.split(opener).length;
    if (!unopened && !/[.,;:!?*_~]/.test(last)) return text;
    text = text.slice(0, -1);
  }
}

function build(block, cite, verbatim) {
  const nodes = (line) => inlineNodes(line, cite, verbatim);
  switch (block.kind) {
    case "code":
      return h("pre", { tabindex: "0" }, h("code", null, block.lines.join("\n")));
    case "heading":
      return h("h3", null, ...nodes(block.lines[0]));
    case "bullets":
      return h("ul", null, ...block.lines.map((line) => h("li", null, ...nodes(line))));
    case "numbers":
      return h("ol", { start: block.start === 1 ? null : block.start }, ...block.lines.map((line) => h("li", null, ...nodes(line))));
    default:
      return h("p", null, ...nodes(block.lines.join("\n")));
  }
}

const shown = new WeakMap(); // node → keys of its children

/**
 * renderAnswer makes node show text. Blocks that have not changed since the
 * last call are left alone, so a marker keeps the focus while text arrives.
 * live says that more may come: an unfinished marker at the end is held back.
 * salt changes when the markers must be made anew, as when sources arrive.
 */
export function renderAnswer(node, text, { cite, verbatim = false, live = false, salt = "" }) {
  const blocks = blocksOf(live ? text.replace(/\[\d{0,3}$/, "") : text, verbatim);
  const keys = blocks.map((block) => JSON.stringify([salt, verbatim, block]));
  const known = shown.get(node) ?? [];
  let same = 0;
  while (same < keys.length && keys[same] === known[same]) same++;
  while (node.childNodes.length > same) node.lastChild.remove();
  for (const block of blocks.slice(same)) node.append(build(block, cite, verbatim));
  shown.set(node, keys);
}

/** markersOf returns the numbers of the markers in text, each once, in order. */
export function markersOf(text) {
  return [...new Set([...text.matchAll(/\[(\d{1,3})\]/g)].map((m) => Number(m[1])))];
}

/** spoken returns text without markers and markup, for reading aloud. */
export function spoken(text) {
  return text.replace(/\[\d{1,3}\]/g, "").replace(/```|\*\*|`/g, "").replace(/^#{1,6}\s+/gm, "");
}
