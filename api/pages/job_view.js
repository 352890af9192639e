/* The shown job: its preview while it runs, then its pictures and their parameters. */

import { find, make } from "./dom.js";
import { curlBlock, curlCommand } from "./curl.js";
import { isUnfinished } from "./jobs.js";
import { kindOf, picturesOf, recipeList, requestOf, wordsOf } from "./recipe.js";

const ANNOUNCED_SHARE = 0.25; // progress between two announcements of the screen reader

/** Shows one job at a time; `act.recipe`, `act.edit` and `act.enlarge` are its buttons. */
export class JobView {
  constructor(act) {
    this.act = act;
    this.job = null;
  }

  /** Show a job as it is now, or none. */
  show(job, options) {
    if (job !== this.job) {
      this.job = job;
      this.number = 0;
      this.announced = "";
      this.finished = null;
    }
    const running = job && isUnfinished(job);
    find("#empty").hidden = Boolean(job?.preview || job?.status?.image_urls);
    find("#empty").classList.toggle("waiting", Boolean(job));
    find("#stage").setAttribute("aria-busy", Boolean(running));
    this.#progress(job, running);
    this.#preview(job);
    if (job?.status?.State !== "SUCCESS") {
      find("#result").hidden = true;
      find("#pictures").hidden = true;
      if (!job?.preview) find("#picture").hidden = true;
    } else if (this.finished !== job) {
      this.finished = job;
      this.#pictures(job, options);
    }
    this.#announce(job);
  }

  #progress(job, running) {
    const status = job?.status;
    find("#doing").hidden = !job || status?.State === "SUCCESS";
    find("#doing").classList.toggle("ended", !running);
    find("#bar").value = status?.Loading ?? status?.Progress ?? 0;
    find("#bar").classList.toggle("loading", status?.State === "LOADING");
    find("#cancel").hidden = !running;
    find("#cancel").disabled = Boolean(job?.stopping);
    find("#sentence").textContent = sentence(job, running);
    find("#left").textContent = running && status?.ETA != null ? `· ${left(status.ETA)} left` : "";
  }

  #preview(job) {
    if (!job?.preview) return;
    const { Preview, width, height, step, steps } = job.preview;
    if (!/^data:image\/(jpeg|png|webp);base64,/.test(Preview)) return;
    this.#put(Preview, width, height, `Preview at step ${step} of ${steps}`);
    find("#picture").classList.add("preview");
  }

  #put(source, width, height, words) {
    const picture = find("#picture");
    picture.style.setProperty("--ratio", width / height);
    picture.classList.remove("preview");
    if (picture.getAttribute("src") !== source) picture.src = source;
    picture.alt = words;
    picture.hidden = false;
  }

  #pictures(job, options) {
    const pictures = picturesOf(job.status);
    const list = find("#pictures");
    list.hidden = pictures.length < 2;
    list.replaceChildren(...pictures.map((picture, index) => {
      const words = picture.seed === undefined ? "all in one" : `picture ${index + 1}`;
      const button = make("button", { type: "button", "aria-label": `Show ${words}` },
        make("img", { src: picture.source, alt: "", loading: "lazy" }));
      button.addEventListener("click", () => this.#choose(job, index, options));
      return make("li", {}, button);
    }));
    this.#choose(job, Math.min(this.number, pictures.length - 1), options);
  }

  #choose(job, index, options) {
    this.number = index;
    const pictures = picturesOf(job.status);
    const picture = pictures[index];
    this.#put(picture.source, ...picture.size, wordsOf(requestOf(job.status, picture)));
    for (const [each, button] of find("#pictures").querySelectorAll("button").entries()) {
      button.setAttribute("aria-pressed", each === index);
    }
    find("#result").replaceChildren(...this.#facts(job, picture, options));
    find("#result").hidden = false;
  }

  #facts(job, picture, options) {
    const request = requestOf(job.status, picture);
    const button = (text, does) => {
      const made = make("button", { type: "button" }, text);
      made.addEventListener("click", does);
      return made;
    };
    const drawn = kindOf(request) !== "upscale";
    const actions = make("div", { className: "actions" },
      ...(drawn ? [button("Use this recipe", () => this.act.recipe(request, job.status, job))] : []),
      button("Edit this picture", () => this.act.edit(picture.source, request)),
      button("Enlarge", () => this.act.enlarge(picture.source, request)),
      make("a", { className: "button", href: picture.source, download: "" }, "Download"));
    const command = curlCommand(job.status, picture, options?.defaults, location.origin);
    return [actions, recipeList(job.status, picture), curlBlock(command)];
  }

  #announce(job) {
    const status = job?.status;
    if (!status) return;
    const share = Math.floor(status.Progress / ANNOUNCED_SHARE) * ANNOUNCED_SHARE;
    const drawing = status.State === "PROGRESS";
    const key = `${status.State} ${drawing ? share : ""} ${status.queue_place ?? ""}`;
    if (key === this.announced) return;
    this.announced = key;
    find("#news").textContent = drawing ? `drawing, ${share * 100} percent` : status.Status;
  }
}

function sentence(job, running) {
  if (!job) return "";
  if (job.lost && running) return "the server cannot be reached; trying again";
  if (job.stopping && running) return "stopping";
  return job.status?.Status ?? "sent";
}

function left(seconds) {
  if (seconds < 60) return `${Math.max(1, Math.round(seconds))} s`;
  return `${Math.floor(seconds / 60)} min ${Math.round(seconds % 60)} s`;
}
