/* Requests to the API. */

import { askForKey, keyHeader } from "./key.js";

/** A failed request. `status` is the HTTP status (0: no answer), `faults` the invalid fields. */
export class ApiError extends Error {
  constructor(status, message, faults = []) {
    super(message);
    this.status = status;
    this.faults = faults;
  }

  /** Whether the requested job does not exist (any more). */
  get gone() {
    return this.status === 404 || this.status === 410;
  }
}

/** GET JSON without a key. */
export const get = (path) => send(path, {});

/** GET JSON with the key. */
export const getWithKey = (path) => withKey(path, {});

/** POST JSON, or no body, with the key. */
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
    } catch (error) {
      if (error.status !== 401) throw error;
      if (!(await askForKey())) throw new ApiError(401, "The server requires an API key.");
    }
  }
}

async function send(path, options) {
  const headers = { Accept: "application/json", ...options.headers };
  let answer;
  try {
    answer = await fetch(path, { ...options, headers });
  } catch {
    throw new ApiError(0, "The server cannot be reached.");
  }
  const body = await answer.json().catch(() => ({}));
  if (answer.ok) return body;
  const wait = answer.headers.get("Retry-After");
  const message = body.error ?? `The server answered ${answer.status}.`;
  throw new ApiError(
    answer.status,
    wait && !/try again/i.test(message) ? `${message}. Try again in ${wait} seconds.` : message,
    body.details ?? [],
  );
}
