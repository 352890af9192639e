/* Asking the server. */

import { askForKey, keyHeader } from "./key.js";

/** An answer that is none: `status` is the HTTP code (0: nobody answered), `faults` one a field. */
export class Refused extends Error {
  constructor(status, message, faults = []) {
    super(message);
    this.status = status;
    this.faults = faults;
  }

  /** Whether the job that was asked for is not, or no longer, known. */
  get gone() {
    return this.status === 404 || this.status === 410;
  }
}

/** The JSON of an address that needs no key. */
export const get = (path) => send(path, {});

/** The same, of one that needs a key. */
export const getWithKey = (path) => withKey(path, {});

/** Post JSON, or nothing, with the key. */
export function post(path, body) {
  if (body === undefined) return withKey(path, { method: "POST" });
  const headers = { "Content-Type": "application/json" };
  return withKey(path, { method: "POST", headers, body: JSON.stringify(body) });
}

async function withKey(path, options) {
  for (;;) {
    const headers = { ...options.headers, ...keyHeader() };
    try {
      return await send(path, { ...options, headers });
    } catch (refused) {
      if (refused.status !== 401) throw refused;
      if (!(await askForKey())) throw new Refused(401, "Without a key the server does nothing.");
    }
  }
}

async function send(path, options) {
  const headers = { Accept: "application/json", ...options.headers };
  let answer;
  try {
    answer = await fetch(path, { ...options, headers });
  } catch {
    throw new Refused(0, "The server cannot be reached.");
  }
  const body = await answer.json().catch(() => ({}));
  if (answer.ok) return body;
  const wait = answer.headers.get("Retry-After");
  const message = body.error ?? `The server answered ${answer.status}.`;
  throw new Refused(
    answer.status,
    wait && !/try again/i.test(message) ? `${message}. Try again in ${wait} seconds.` : message,
    body.details ?? [],
  );
}
