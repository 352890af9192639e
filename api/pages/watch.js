/* Following a job: by the server's events where they can be had, else by asking again. */

import { get } from "./api.js";

const EVENTS = ["queued", "loading", "step", "done", "failed", "cancelled"];
const QUIET = 4000; // milliseconds without an event after which the status is asked for
const PAUSE = 1000;
const PAUSE_OUT_OF_SIGHT = 4000;

export const isFinal = (status) => ["SUCCESS", "FAILURE", "CANCELLED"].includes(status.State);

/**
 * Follow a job to its end.
 *
 * tell.status(status): each news; tell.preview(preview): a preview; tell.gone(): there is no such
 * job; tell.lost(whether): the server cannot be reached. The last status told is a final one.
 */
export class Watch {
  constructor(id, tell, { events = true } = {}) {
    this.id = id;
    this.tell = tell;
    this.wanted = events;
    this.heard = -Infinity;
    this.look = () => this.#connect();
    document.addEventListener("visibilitychange", this.look);
    this.#connect();
    this.#ask();
  }

  /** Whether to have events: a browser has few connections to one server, and shares them. */
  set events(wanted) {
    if (this.wanted === wanted) return;
    this.wanted = wanted;
    this.#connect();
  }

  stop() {
    this.stopped = true;
    clearTimeout(this.timer);
    document.removeEventListener("visibilitychange", this.look);
    this.#disconnect();
  }

  #connect() {
    if (!this.wanted || document.hidden || this.stopped) {
      this.#disconnect();
      return;
    }
    if (this.source) return;
    this.source = new EventSource(`/events/${encodeURIComponent(this.id)}`);
    for (const name of EVENTS) {
      this.source.addEventListener(name, (event) => this.#hear(() => this.#news(event)));
    }
    this.source.addEventListener("preview", (event) => this.#hear(() => this.#preview(event)));
  }

  #disconnect() {
    this.source?.close();
    this.source = null;
  }

  #hear(told) {
    if (this.stopped) return;
    this.heard = performance.now();
    told();
  }

  #news(event) {
    this.#tell(JSON.parse(event.data));
  }

  #preview(event) {
    this.tell.preview(JSON.parse(event.data));
  }

  #tell(status) {
    this.tell.lost(false);
    if (isFinal(status)) this.stop();
    this.tell.status(status);
  }

  async #ask() {
    const asked = performance.now();
    const live = this.source?.readyState === EventSource.OPEN;
    if (!live || asked - this.heard > QUIET) await this.#poll(asked);
    if (this.stopped) return;
    const pause = document.hidden ? PAUSE_OUT_OF_SIGHT : PAUSE;
    this.timer = setTimeout(() => this.#ask(), pause);
  }

  async #poll(asked) {
    try {
      const status = await get(`/status/${encodeURIComponent(this.id)}?images=false`);
      // an event that came meanwhile is the later news
      if (!this.stopped && this.heard < asked) this.#tell(status);
    } catch (refused) {
      if (this.stopped) return;
      if (refused.gone) {
        this.stop();
        this.tell.gone(refused.message);
      } else {
        this.tell.lost(true);
      }
    }
  }
}
