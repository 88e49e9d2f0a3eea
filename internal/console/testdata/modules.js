// Checks of the console's modules, run inside the browser by TestConsole. Each
// check returns [got, want]; they are compared as JSON.

import { indexAtByte, splitAtBytes } from "/console/bytes.js";
import { ownLink } from "/console/client.js";
import { Failure, secondsUntil } from "/console/failure.js";
import { blocksOf, inlineNodes, markersOf, renderAnswer, spoken } from "/console/format.js";
import { Line } from "/console/line.js";
import { sourceList } from "/console/sources.js";
import { tab } from "/console/storage.js";
import { EventParser, readEvents } from "/console/stream.js";
import { samples, texts } from "/console/texts.js";
import { Turn } from "/console/turn.js";

const bytes = (text) => new TextEncoder().encode(text);

// What a parser makes of bytes cut into pieces of the given size.
function parsed(data, size = data.length) {
  const parser = new EventParser();
  const events = [];
  for (let i = 0; i < data.length; i += size) events.push(...parser.push(data.slice(i, i + size)));
  return [...events, ...parser.end()].map((event) => event.data);
}

function bodyOf(...pieces) {
  return new ReadableStream({
    start(controller) {
      for (const piece of pieces) controller.enqueue(bytes(piece));
    },
  });
}

function html(text, options = {}) {
  const node = document.createElement("div");
  renderAnswer(node, text, { cite: (n) => (n === 1 ? document.createElement("button") : null), ...options });
  return node.innerHTML;
}

function kinds(text, verbatim) {
  return blocksOf(text, verbatim).map((block) => [block.kind, ...block.lines]);
}

function caught(fn) {
  try {
    fn();
    return "nothing";
  } catch (err) {
    return err instanceof Failure ? `${err.kind} ${err.code}`.trim() : String(err);
  }
}

const mixed = "aé中😀z"; // bytes 1, 2, 3, 4, 1

export const checks = {
  "events survive every cut of their bytes": () => {
    const stream = bytes(": hello\r\nid: 7\r\ndata: 第一😀\r\n\r\ndata: a\ndata:b\n\n\rdata: c\r\r: ping\n\nevent: x\ndata\n\n");
    const want = ["第一😀", "a\nb", "c", ""];
    const wrong = [];
    for (let size = 1; size <= stream.length; size++) {
      if (JSON.stringify(parsed(stream, size)) !== JSON.stringify(want)) wrong.push([size, parsed(stream, size)]);
    }
    return [wrong, []];
  },
  "CRLF cut in two is one line end": () => {
    const parser = new EventParser();
    const got = [parser.push(bytes("data: a\r")), parser.push(bytes("\ndata: b\r")), parser.push(bytes("\n\r")), parser.push(bytes("\n"))];
    return [got.flat().map((e) => e.data), ["a\nb"]];
  },
  "comments and unknown fields make no events": () => [parsed(bytes(":\n\n: x\n\nretry: 5\n\nid: 3\n\n")), []],
  "one space after the colon is dropped": () => [parsed(bytes("data:  two\n\ndata:none\n\n")), [" two", "none"]],
  "a byte order mark is dropped": () => [parsed(new Uint8Array([0xef, 0xbb, 0xbf, ...bytes("data: x\n\n")])), ["x"]],
  "broken UTF-8 becomes replacement characters": () => [parsed(new Uint8Array([...bytes("data: "), 0xe4, 0xb8, 10, 10])), ["\ufffd"]],
  "an event that the end closes is delivered": () => [parsed(bytes("data: last")), ["last"]],
  "ids stay with the events": () => {
    const parser = new EventParser();
    return [parser.push(bytes("id: 1\ndata: a\n\ndata: b\n\nid: 2\ndata: c\n\n")).map((e) => e.id), ["1", "1", "2"]];
  },
  "random bytes parse the same however they are cut": () => {
    let seed = 7;
    const next = (n) => (seed = (seed * 48271) % 2147483647) % n;
    const parts = ["data: ", "data", ":", "\r", "\n", "\r\n", "\n\n", "id: 1", "中", "😀", " ", "x"].map(bytes);
    const wrong = [];
    for (let round = 0; round < 300; round++) {
      const stream = new Uint8Array(Array.from({ length: 30 }, () => (next(8) ? [...parts[next(parts.length)]] : [next(256)])).flat());
      const want = JSON.stringify(parsed(stream));
      for (const size of [1, 2, 3, 5]) {
        if (JSON.stringify(parsed(stream, size)) !== want) wrong.push([...stream].join(" "));
      }
    }
    return [wrong, []];
  },
  "an endless line is refused": () => [caught(() => {
    const parser = new EventParser();
    for (let i = 0; i < 10; i++) parser.push(bytes("x".repeat(1 << 20)));
  }), "protocol"],
  "silence is a timeout": async () => {
    const got = [];
    try {
      for await (const { data } of readEvents(bodyOf("data: a\n\n: ping\n\n"), 30)) got.push(data);
    } catch (err) {
      got.push(err.kind);
    }
    return [got, ["a", "timeout"]];
  },

  "byte offsets become string indices": () =>
    [[0, 1, 3, 6, 10, 11].map((n) => indexAtByte(mixed, n)), [0, 1, 2, 3, 5, 6]],
  "an offset inside a character goes to its edge": () =>
    [[2, 4, 8].map((n) => [indexAtByte(mixed, n), indexAtByte(mixed, n, true)]), [[1, 2], [2, 3], [3, 5]]],
  "offsets outside the text are held": () => [[indexAtByte(mixed, -1), indexAtByte(mixed, 99)], [0, 6]],
  "every offset agrees with TextEncoder": () => {
    const text = "aé中😀\n𠮷ÿ߿ࠀ￿\u0000z中文，";
    const wrong = [];
    for (let i = 0; i <= text.length; i++) {
      if (/[\udc00-\udfff]/.test(text[i])) continue;
      if (indexAtByte(text, bytes(text.slice(0, i)).length) !== i) wrong.push(i);
    }
    return [wrong, []];
  },
  "a text is cut around a quote": () => [splitAtBytes(mixed, 3, 10), { before: "aé", quote: "中😀", after: "z" }],
  "an empty quote is empty": () => [splitAtBytes(mixed, 3, 3), { before: "aé", quote: "", after: "中😀z" }],
  "a quote may reach past the end": () => [splitAtBytes(mixed, 10, 99), { before: "aé中😀", quote: "z", after: "" }],
  "a quote is found in a long text": () => {
    const before = "章节😀".repeat(100_000);
    return [splitAtBytes(before + "引文" + before, bytes(before).length, bytes(before).length + 6).quote, "引文"];
  },

  "blank lines part paragraphs, others break lines": () => [html("a\nb\n\nc"), "<p>a<br>b</p><p>c</p>"],
  "lists are lists": () => [html("x\n- a\n* b\n\n1. c\n2) d\n、e"), "<p>x</p><ul><li>a</li><li>b</li></ul><ol><li>c</li><li>d</li></ol><p>、e</p>"],
  "Chinese numbering is a list": () => [kinds("3、甲\n4、乙"), [["numbers", "甲", "乙"]]],
  "a number that begins a sentence is not": () => [kinds("3.5 times\n2024 年"), [["paragraph", "3.5 times", "2024 年"]]],
  "code keeps its spaces and markers": () => [html("```go\n  a [1] **b**\n\n<i>\n```\nc"), '<pre tabindex="0"><code>  a [1] **b**\n\n&lt;i&gt;</code></pre><p>c</p>'],
  "quoted text is not formatted": () => [kinds("# a\n- b\n\n1. c", true), [["paragraph", "# a", "- b"], ["paragraph", "1. c"]]],
  "quoted text keeps its stars": () => [html("a **b** `c` [1]", { verbatim: true }), "<p>a **b** `c` <button></button></p>"],
  "markers without a source stay text": () => [html("a [1] [2]"), "<p>a <button></button> [2]</p>"],
  "a line does not begin with the stop after a marker": () => [html("a [1]。b"), '<p>a <span class="keep"><button></button>。</span>b</p>'],
  "an unfinished marker is held back": () => [["a [", "a [1", "a [12"].map((s) => html(s, { live: true })), ["<p>a </p>", "<p>a </p>", "<p>a </p>"]],
  "only http addresses are links": () => [
    inlineNodes("javascript:alert(1) data:text/html,x ftp://a //b http://", () => null).every((n) => typeof n === "string"), true],
  "sentence ends are not part of an address": () => [
    inlineNodes("见 https://a.example/b?c=（d）。(https://e.example/f). https://g.example/h,", () => null).filter((n) => n.href).map((n) => n.href),
    ["https://a.example/b?c=", "https://e.example/f", "https://g.example/h"]],
  "unchanged blocks are kept": () => {
    const node = document.createElement("div");
    const cite = () => null;
    renderAnswer(node, "a\n\nb", { cite });
    const [first, second] = node.children;
    renderAnswer(node, "a\n\nb c\n\nd", { cite });
    return [[node.children[0] === first, node.children[1] === second, node.children.length], [true, false, 3]];
  },
  "markers are listed once": () => [markersOf("a [2] b [1][2] [x]"), [2, 1]],
  "read aloud there is no markup": () => [spoken("# A [1]\n**b** `c`"), "A \nb c"],

  "sources under one heading are told apart by their words": () => {
    const source = (heading, content) => ({ content, metadata: { doc_id: "d", title: "T", heading } });
    const list = sourceList([source("A", "one"), source("A", "two"), source("B", "three"), { content: "four" }], [], () => {})[1];
    return [[...list.querySelectorAll(".source-place")].map((n) => n.textContent), ["one", "two", "B"]];
  },
  "cited sources come first, the others wait": () => {
    const list = sourceList([{}, {}, {}], [3, 9, 1], () => {})[1];
    return [[...list.querySelectorAll(".source")].map((n) => n.dataset.n).concat(list.querySelectorAll(".more").length), ["1", "3", 1]];
  },

  "a turn follows its events": () => {
    const turn = new Turn("q");
    turn.apply({ type: "start", session_id: "s" });
    turn.apply({ type: "stage", stage: "answer", route: "knowledge", eventID: "9" });
    turn.apply({ type: "chunk", content: "draft" });
    turn.apply({ type: "news", content: "ignored" });
    turn.apply({ type: "replace", content: "final" });
    turn.apply({ type: "chunk", content: "!" });
    turn.apply({ type: "end", sources: [{}], metadata: { quoted: true } });
    turn.finish();
    return [[turn.answer, turn.route, turn.sources.length, turn.metadata, turn.status], ["final!", "knowledge", 1, { quoted: true }, "done"]];
  },
  "a stream without its end was cut": () => [caught(() => {
    const turn = new Turn("q");
    turn.apply({ type: "chunk", content: "half" });
    turn.finish();
  }), "cut"],
  "a stream that a human took over was not": () => {
    const turn = new Turn("q");
    turn.apply({ type: "chunk", content: "half" });
    turn.apply({ type: "handoff", content: "A person answers now." });
    turn.finish();
    return [[turn.answer, turn.note, turn.metadata.state], ["half", "A person answers now.", "human"]];
  },
  "what people say is kept beside the answer": () => {
    const turn = new Turn("q");
    const news = [{ type: "state", state: "human" }, { type: "handoff", content: "Ann is here." }, { type: "message", agent: "Ann", content: "Hello" },
      { type: "message", content: 7 }, { type: "later", content: "x" }].map((event) => turn.hear(event));
    return [[news, turn.said, Turn.restore(turn.plain()).said, Turn.restore({ query: "q", answer: "", said: 1 }).said],
      [[false, true, true, false, false], [{ agent: "", content: "Ann is here." }, { agent: "Ann", content: "Hello" }],
        [{ agent: "", content: "Ann is here." }, { agent: "Ann", content: "Hello" }], []]];
  },
  "a line goes on where it broke, and gives up when refused": async () => {
    tab.set("heard", "");
    const asked = [];
    const heard = [];
    async function* source({ session, last }) {
      asked.push([session, last]);
      if (asked.length === 3) throw new Failure("http", { status: 404 });
      yield { type: "message", content: String(asked.length), eventID: `${asked.length}` };
      if (asked.length === 2) throw new Failure("cut");
    }
    const line = new Line((event) => heard.push(event.content), { source, wait: 1 });
    line.start("s");
    line.start("s");
    for (let i = 0; i < 100 && line.open; i++) await new Promise((done) => setTimeout(done, 5));
    const kept = tab.get("heard");
    line.forget();
    return [[asked, heard, line.open, kept, tab.get("heard")], [[["s", ""], ["s", "1"], ["s", "2"]], ["1", "2"], false, "2", ""]];
  },
  "a line that was stopped is silent": async () => {
    const heard = [];
    async function* source({ signal }) {
      yield { type: "state", state: "human" };
      await new Promise((done) => signal.addEventListener("abort", done));
      yield { type: "message", content: "too late" };
    }
    const line = new Line((event) => heard.push(event.type), { source, wait: 1 });
    line.start("s");
    await new Promise((done) => setTimeout(done, 10));
    line.stop();
    await new Promise((done) => setTimeout(done, 10));
    return [heard, ["state"]];
  },
  "an error event is a failure": () => [caught(() => new Turn("q").apply({ type: "error", code: "not_saved" })), "stream not_saved"],
  "only a broken stream is taken up again": () => {
    const attempt = (kind) => {
      const turn = new Turn("q");
      turn.apply({ type: "chunk", content: "half", eventID: "3" });
      turn.fail(new Failure(kind));
      return [turn.again(), turn.answer];
    };
    return [[attempt("cut"), attempt("timeout"), attempt("stream"), attempt("http")], [["3", "half"], ["3", "half"], ["", ""], ["", ""]]];
  },
  "what storage kept is checked": () => [[null, 1, {}, { query: "q" }, { query: 1, answer: "" }].map((kept) => Turn.restore(kept)), [null, null, null, null, null]],

  "Retry-After is seconds or a date": () => [
    ["7", "Wed, 21 Oct 2026 07:28:10 GMT", "Wed, 21 Oct 2020 07:28:00 GMT", "", null, "soon", "-1"].map((v) => secondsUntil(v, Date.UTC(2026, 9, 21, 7, 28, 0))),
    [7, 10, 0, 0, 0, 0, 0]],
  "only links of this origin are followed": () => [
    ["/a?b", "a", "//other.example/x", "https://other.example/", "javascript:alert(1)", "", undefined, `${location.origin}/x`].map((a) => ownLink(a)?.pathname ?? null),
    ["/a", "/a", null, null, null, null, null, "/x"]],
  "both languages have the same words": () => {
    const shape = (lang) => Object.entries(texts[lang]).map(([key, text]) => [key, typeof text, text !== ""]).sort();
    return [shape("zh"), shape("en")];
  },
  "both languages have as many samples": () => [samples.zh.length, samples.en.length],
};

/** run returns [name, what went wrong or ""] of each check. */
export async function run() {
  const results = [];
  for (const [name, check] of Object.entries(checks)) {
    try {
      const [got, want] = (await check()).map((v) => JSON.stringify(v));
      results.push([name, got === want ? "" : `got ${got}, want ${want}`]);
    } catch (err) {
      results.push([name, err.stack ?? String(err)]);
    }
  }
  return results;
}
