/* The jobs of this session: submitted, updated until they end, remembered. */

import { post } from "./api.js";
import { kindOf } from "./recipe.js";
import { rememberedJobs, rememberJobs } from "./session.js";
import { isFinal, JobUpdates } from "./job_updates.js";

/** A list of {id, request, picture, strokes, status, preview, lost}, newest first; one of them is shown. */
export class Jobs {
  constructor(changed) {
    this.changed = changed; // called with a job, or with nothing when the list itself changed
    this.list = [];
    this.shown = null;
  }

  /** Restore the jobs from before a reload. */
  restore() {
    for (const job of rememberedJobs().reverse()) this.#add(job);
    this.show(this.list[0] ?? null);
  }

  /** Show a job by its id, also one of another session. */
  follow(id) {
    this.show(this.find(id) ?? this.#add({ id, request: {} }));
  }

  find(id) {
    return this.list.find((job) => job.id === id);
  }

  /** Submit a request. `inputs` are its pictures as base64; the job keeps the form's `picture` and
      the `strokes` of its mask. */
  async submit(body, inputs, { picture, strokes } = {}) {
    const path = kindOf(body) === "upscale" ? "/upscale" : picture ? "/img2img" : "/generate";
    const { task_id: id } = await post(path, { ...body, ...inputs });
    const job = this.#add({ id, request: body, picture, strokes });
    this.#remember();
    this.show(job);
  }

  show(job) {
    this.shown = job;
    for (const each of this.list) if (each.updates) each.updates.events = each === job;
    this.changed();
  }

  /** Cancel an unfinished job; its end arrives as an update. */
  async cancel(job) {
    job.stopping = true;
    this.changed(job);
    try {
      await post(`/cancel/${encodeURIComponent(job.id)}`);
    } catch (error) {
      job.stopping = false;
      this.changed(job);
      if (error.status !== 409) throw error; // 409: it has ended already
    }
  }

  #add(job) {
    this.list.unshift(job);
    job.updates = new JobUpdates(job.id, {
      status: (status) => this.#update(job, { status, preview: isFinal(status) ? null : job.preview }),
      preview: (preview) => this.#update(job, { preview }),
      lost: (lost) => { if (job.lost !== lost) this.#update(job, { lost }); },
      gone: () => this.#drop(job),
    }, { events: false });
    return job;
  }

  #update(job, changes) {
    Object.assign(job, changes);
    this.changed(job);
  }

  #drop(job) {
    this.list = this.list.filter((each) => each !== job);
    this.#remember();
    if (this.shown === job) this.show(this.list[0] ?? null);
    else this.changed();
  }

  #remember() {
    rememberJobs(this.list);
  }
}

export const isUnfinished = (job) => !job?.status || !isFinal(job.status);
