/* Updates of a job: by Server-Sent Events, else by polling. */

import { get } from "./api.js";

const EVENTS = ["queued", "loading", "step", "done", "failed", "cancelled"];
const QUIET = 4000; // milliseconds without an event after which the status is polled
const PAUSE = 1000;
const PAUSE_HIDDEN = 4000;

export const isFinal = (status) => ["SUCCESS", "FAILURE", "CANCELLED"].includes(status.State);

/**
 * Calls handlers until a job ends.
 *
 * handlers.status(status): a change; handlers.preview(preview): a preview; handlers.gone(): there is
 * no such job; handlers.lost(isLost): whether the server is unreachable. The last status is final.
 */
export class JobUpdates {
  constructor(id, handlers, { events = true } = {}) {
    this.id = id;
    this.handlers = handlers;
    this.useEvents = events;
    this.lastEvent = -Infinity;
    this.onVisibility = () => this.#connect();
    document.addEventListener("visibilitychange", this.onVisibility);
    this.#connect();
    this.#tick();
  }

  /** Whether to use events: a browser has few connections to one server. */
  set events(use) {
    if (this.useEvents === use) return;
    this.useEvents = use;
    this.#connect();
  }

  stop() {
    this.stopped = true;
    clearTimeout(this.timer);
    document.removeEventListener("visibilitychange", this.onVisibility);
    this.#disconnect();
  }

  #connect() {
    if (!this.useEvents || document.hidden || this.stopped) {
      this.#disconnect();
      return;
    }
    if (this.source) return;
    this.source = new EventSource(`/events/${encodeURIComponent(this.id)}`);
    for (const name of EVENTS) {
      this.source.addEventListener(name, (event) => this.#handle(() => this.#onStatus(event)));
    }
    this.source.addEventListener("preview", (event) => this.#handle(() => this.#onPreview(event)));
  }

  #disconnect() {
    this.source?.close();
    this.source = null;
  }

  #handle(action) {
    if (this.stopped) return;
    this.lastEvent = performance.now();
    action();
  }

  #onStatus(event) {
    this.#report(JSON.parse(event.data));
  }

  #onPreview(event) {
    this.handlers.preview(JSON.parse(event.data));
  }

  #report(status) {
    this.handlers.lost(false);
    if (isFinal(status)) this.stop();
    this.handlers.status(status);
  }

  async #tick() {
    const started = performance.now();
    const live = this.source?.readyState === EventSource.OPEN;
    if (!live || started - this.lastEvent > QUIET) await this.#poll(started);
    if (this.stopped) return;
    const pause = document.hidden ? PAUSE_HIDDEN : PAUSE;
    this.timer = setTimeout(() => this.#tick(), pause);
  }

  async #poll(started) {
    try {
      const status = await get(`/status/${encodeURIComponent(this.id)}?images=false`);
      // an event that arrived meanwhile is newer
      if (!this.stopped && this.lastEvent < started) this.#report(status);
    } catch (error) {
      if (this.stopped) return;
      if (error.gone) {
        this.stop();
        this.handlers.gone(error.message);
      } else {
        this.handlers.lost(true);
      }
    }
  }
}
