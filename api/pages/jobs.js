/* The jobs of this session: submitted, followed to their ends, remembered. */

import { post } from "./api.js";
import { rememberedJobs, rememberJobs } from "./session.js";
import { isFinal, Watch } from "./watch.js";

/** A list of {id, request, picture, status, preview, lost}, newest first; one of them is shown. */
export class Jobs {
  constructor(changed) {
    this.changed = changed; // called with a job, or with nothing when the list itself changed
    this.list = [];
    this.shown = null;
  }

  /** Take up the jobs from before a reload. */
  restore() {
    for (const job of rememberedJobs().reverse()) this.#add(job);
    this.show(this.list[0] ?? null);
  }

  /** Show a job by its id, whoever has submitted it. */
  follow(id) {
    this.show(this.find(id) ?? this.#add({ id, request: {} }));
  }

  find(id) {
    return this.list.find((job) => job.id === id);
  }

  /** Submit a body, with the picture it starts from if there is one. */
  async submit(body, picture, init_img) {
    const path = picture ? "/img2img" : "/generate";
    const { task_id: id } = await post(path, init_img ? { ...body, init_img } : body);
    const job = this.#add({ id, request: body, picture });
    this.#remember();
    this.show(job);
  }

  show(job) {
    this.shown = job;
    for (const each of this.list) if (each.watch) each.watch.events = each === job;
    this.changed();
  }

  /** Cancel a job that has not ended; the end is told by whoever watches it. */
  async cancel(job) {
    job.stopping = true;
    this.changed(job);
    try {
      await post(`/cancel/${encodeURIComponent(job.id)}`);
    } catch (refused) {
      job.stopping = false;
      this.changed(job);
      if (refused.status !== 409) throw refused; // 409: it was quicker
    }
  }

  #add(job) {
    this.list.unshift(job);
    job.watch = new Watch(job.id, {
      status: (status) => this.#tell(job, { status, preview: isFinal(status) ? null : job.preview }),
      preview: (preview) => this.#tell(job, { preview }),
      lost: (lost) => { if (job.lost !== lost) this.#tell(job, { lost }); },
      gone: () => this.#drop(job),
    }, { events: false });
    return job;
  }

  #tell(job, news) {
    Object.assign(job, news);
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

export const isUnderWay = (job) => !job?.status || !isFinal(job.status);
