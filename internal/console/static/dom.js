// Building DOM nodes. Text enters the page as text nodes only: nothing here or
// elsewhere in the console parses markup, and the Content-Security-Policy
// (require-trusted-types-for 'script') makes the browser refuse it.

const icons = new URL("icons.svg", import.meta.url).href;

/**
 * h makes an element. Properties that begin with "on" are listeners, false and
 * null are left out, the rest are attributes. Children are nodes or strings;
 * false and null are left out.
 */
export function h(tag, props, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(props ?? {})) {
    if (value === false || value === null || value === undefined) continue;
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else node.setAttribute(name, value === true ? "" : String(value));
  }
  node.append(...children.flat().filter((c) => c !== false && c !== null && c !== undefined));
  return node;
}

/** icon makes an <svg> that shows one symbol of icons.svg, hidden from readers. */
export function icon(name) {
  const ns = "http://www.w3.org/2000/svg";
  const svg = document.createElementNS(ns, "svg");
  svg.setAttribute("class", "icon");
  svg.setAttribute("aria-hidden", "true");
  const use = document.createElementNS(ns, "use");
  use.setAttribute("href", `${icons}#${name}`);
  svg.append(use);
  return svg;
}

/** byId returns the element or throws: a missing one is a defect of the page. */
export function byId(id) {
  const node = document.getElementById(id);
  if (!node) throw new Error(`no element #${id}`);
  return node;
}

/**
 * section keeps one part of a view: build runs, and the children of node are
 * replaced, only when the key differs from the last one. So a part that did
 * not change keeps its focus and its scroll position.
 */
export function section(node, key, build) {
  const known = JSON.stringify(key);
  if (node.dataset.key === known) return;
  node.dataset.key = known;
  const children = build();
  node.replaceChildren(...(children ?? []));
  node.hidden = node.childNodes.length === 0;
}

/** calm reports whether the reader asked for less motion. */
export function calm() {
  return matchMedia("(prefers-reduced-motion: reduce)").matches;
}
