// What can go wrong between the page and the server, in the words of texts.js.

/**
 * Failure has a kind: offline, network, cut, timeout, protocol, left (the page
 * was closed), http (with status) or stream (an error event, with code).
 * message is the server's, for the user; retryAfter counts seconds.
 */
export class Failure extends Error {
  constructor(kind, { status = 0, code = "", message = "", details = null, trace = "", retryAfter = 0 } = {}) {
    super(message);
    this.name = "Failure";
    Object.assign(this, { kind, status, code, details, trace, retryAfter });
  }

  /** plain returns what storage keeps. */
  plain() {
    const { kind, status, code, message, details, trace } = this;
    return { kind, status, code, message, details, trace };
  }

  /** key names the text that says what happened. */
  key(known) {
    if (this.kind === "stream") return known(`fail.${this.code}`) ? `fail.${this.code}` : "fail.stream";
    if (this.kind !== "http") return `fail.${this.kind}`;
    if (known(`fail.${this.status}`)) return `fail.${this.status}`;
    return this.status >= 500 ? "fail.500" : "fail.http";
  }
}

/** failureOf makes a Failure of anything thrown. begun says whether a reply had started. */
export function failureOf(thrown, begun) {
  if (thrown instanceof Failure) return thrown;
  if (!navigator.onLine) return new Failure("offline");
  return new Failure(begun ? "cut" : "network");
}

/** httpFailure reads the error of a response: {"code","message","details","trace_id"}, or none. */
export async function httpFailure(response) {
  let body = {};
  try {
    body = (await response.json()) ?? {};
  } catch { /* a proxy's page: the status has to do */ }
  return new Failure("http", {
    status: response.status,
    message: typeof body.message === "string" ? body.message : "",
    details: body.details && typeof body.details === "object" ? body.details : null,
    trace: typeof body.trace_id === "string" ? body.trace_id : "",
    retryAfter: secondsUntil(response.headers.get("Retry-After")),
  });
}

/** secondsUntil reads a Retry-After: seconds or a date (RFC 9110 §10.2.3); 0 if there is none. */
export function secondsUntil(value, now = Date.now()) {
  if (!value) return 0;
  if (/^\s*\d+\s*$/.test(value)) return Math.min(Number(value), 86_400);
  const date = Date.parse(value);
  return Number.isNaN(date) ? 0 : Math.min(Math.max(Math.ceil((date - now) / 1000), 0), 86_400);
}
