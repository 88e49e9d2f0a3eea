// Finds text whose contrast with what is behind it is below WCAG 2.2 AA (1.4.3).

const wanted = 4.5;

/** faint returns a description of each such text that is visible now. */
export function faint() {
  const found = new Set();
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  for (let node; (node = walker.nextNode());) {
    const parent = node.parentElement;
    if (!node.textContent.trim() || !parent.checkVisibility() || parent.closest(".hidden, .skip, noscript, :disabled")) continue;
    note(found, parent, getComputedStyle(parent).color, node.textContent);
  }
  for (const box of document.querySelectorAll("input, textarea")) {
    if (box.checkVisibility()) note(found, box, getComputedStyle(box, "::placeholder").color, "placeholder");
  }
  return [...found];
}

function note(found, element, colour, text) {
  const behind = ground(element);
  const ratio = contrast(over(parse(colour), behind), behind);
  if (ratio < wanted) found.add(`${ratio.toFixed(2)} ${element.className || element.tagName} ${text.trim().slice(0, 20)}`);
}

function ground(element) {
  const layers = [];
  for (let e = element; e; e = e.parentElement) layers.push(parse(getComputedStyle(e).backgroundColor));
  return layers.reverse().reduce((below, layer) => over(layer, below), [255, 255, 255, 1]);
}

function over([r, g, b, a], below) {
  return [r, g, b].map((c, i) => c * a + below[i] * (1 - a)).concat(1);
}

function parse(colour) {
  const parts = colour.match(/[\d.]+/g).map(Number);
  return [parts[0], parts[1], parts[2], parts[3] ?? 1];
}

function contrast(a, b) {
  const [light, dark] = [luminance(a), luminance(b)].sort((x, y) => y - x);
  return (light + 0.05) / (dark + 0.05);
}

function luminance(colour) {
  const [r, g, b] = colour.map((c) => (c / 255 <= 0.04045 ? c / 255 / 12.92 : ((c / 255 + 0.055) / 1.055) ** 2.4));
  return 0.2126 * r + 0.7152 * g + 0.0722 * b;
}
