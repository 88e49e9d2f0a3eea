// Talking to the server: questions and the text behind a citation. All
// addresses are relative to the page, so it also works under a path prefix.

import { Failure, httpFailure } from "./failure.js";
import { language } from "./i18n.js";
import { tab } from "./storage.js";
import { readEvents } from "./stream.js";

/**
 * ask posts a question and yields the protocol's events ({type, …}) in order,
 * each with the id of its SSE event as eventID. It throws a Failure, or what
 * fetch throws. An event of our own, opened, comes first, when the server has
 * begun to reply. resume is the last eventID seen of the same question when its
 * stream broke: the server may replay instead of answering anew.
 */
export async function* ask({ query, session, resume, signal }) {
  const body = { query, stream: true };
  if (session) body.session_id = session;
  const headers = {
    "Content-Type": "application/json",
    "Accept": "text/event-stream",
    "Accept-Language": language(),
  };
  identify(headers);
  if (resume) headers["Last-Event-ID"] = resume;

  const response = await fetch(new URL("chat", document.baseURI), {
    method: "POST", headers, body: JSON.stringify(body), signal, cache: "no-store",
  });
  if (!response.ok) throw await httpFailure(response);
  yield { type: "opened" };
  if (response.status === 204) { // the turn had been seen whole
    yield { type: "end", eventID: resume };
    return;
  }
  const type = response.headers.get("Content-Type") ?? "";
  if (type.startsWith("application/json")) {
    yield* whole(await response.json());
    return;
  }
  if (!type.startsWith("text/event-stream")) throw new Failure("protocol");
  for await (const { id, data } of readEvents(response.body)) {
    yield { ...parse(data), eventID: id };
  }
}

/**
 * follow yields what happens in a session besides its answers ({type: state |
 * handoff | message, …, eventID}), from the event after last on.
 */
export async function* follow({ session, last, signal }) {
  const headers = { "Accept": "text/event-stream" };
  identify(headers);
  if (last) headers["Last-Event-ID"] = last;
  const response = await fetch(new URL(`api/v1/sessions/${encodeURIComponent(session)}/events`, document.baseURI), {
    headers, signal, cache: "no-store",
  });
  if (!response.ok) throw await httpFailure(response);
  if (!(response.headers.get("Content-Type") ?? "").startsWith("text/event-stream")) throw new Failure("protocol");
  for await (const { id, data } of readEvents(response.body)) {
    yield { ...parse(data), eventID: id };
  }
}

function identify(headers) {
  if (tab.get("key")) headers["X-API-Key"] = tab.get("key");
  if (tab.get("tenant")) headers["X-Tenant-ID"] = tab.get("tenant");
}

function parse(data) {
  let event;
  try {
    event = JSON.parse(data);
  } catch {
    throw new Failure("protocol");
  }
  if (event === null || typeof event !== "object") throw new Failure("protocol");
  return event;
}

// A proxy or function platform without streaming answers in one piece.
function* whole(answer) {
  if (typeof answer?.answer !== "string") throw new Failure("protocol");
  yield { type: "start", session_id: answer.session_id };
  yield { type: "chunk", content: answer.answer };
  yield { type: "end", route: answer.route, sources: answer.sources, metadata: answer.metadata };
}

/** ownLink returns a URL of this origin, or null for any other address. */
export function ownLink(address) {
  try {
    const url = new URL(address, document.baseURI);
    return address && url.origin === location.origin ? url : null;
  } catch {
    return null;
  }
}

/**
 * original fetches {document_id, title, version, start, end, text} behind a
 * citation's signed link. start and end count bytes of text's UTF-8.
 */
export async function original(address, signal) {
  const url = ownLink(address);
  if (!url) throw new Failure("foreign");
  const response = await fetch(url, { headers: { "Accept": "application/json" }, signal });
  if (!response.ok) throw await httpFailure(response);
  const found = await response.json().catch(() => null);
  if (typeof found?.text !== "string" || !(found.start >= 0) || !(found.end >= found.start)) throw new Failure("protocol");
  return found;
}
