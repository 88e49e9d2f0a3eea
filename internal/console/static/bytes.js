// Citations count bytes of UTF-8; strings here count UTF-16 units. These
// functions turn one into the other.

/**
 * indexAtByte returns the string index of the character that holds byte n of
 * text's UTF-8, the text's length if n is at or past its end, 0 if n < 0. With
 * up = true, an n inside a character gives the index after it instead.
 */
export function indexAtByte(text, n, up = false) {
  let bytes = 0;
  let i = 0;
  while (i < text.length && bytes < n) {
    const unit = text.charCodeAt(i);
    let size = 3; // most of the BMP, and a lone surrogate (encoded as U+FFFD)
    let units = 1;
    if (unit < 0x80) size = 1;
    else if (unit < 0x800) size = 2;
    else if (unit >= 0xd800 && unit < 0xdc00) {
      const next = text.charCodeAt(i + 1);
      if (next >= 0xdc00 && next < 0xe000) {
        size = 4;
        units = 2;
      }
    }
    if (bytes + size > n && !up) return i;
    bytes += size;
    i += units;
  }
  return i;
}

/** splitAtBytes cuts text around the byte range [start, end). */
export function splitAtBytes(text, start, end) {
  const from = indexAtByte(text, start);
  const to = from + indexAtByte(text.slice(from), end - byteLength(text.slice(0, from)), true);
  return { before: text.slice(0, from), quote: text.slice(from, to), after: text.slice(to) };
}

function byteLength(text) {
  return new TextEncoder().encode(text).length;
}
