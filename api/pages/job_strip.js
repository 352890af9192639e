/* The jobs of this session as a row of thumbnails, the newest first. */

import { find, make } from "./dom.js";
import { isUnfinished } from "./jobs.js";
import { wordsOf } from "./recipe.js";

/** Render the row, or `only` one job of it. `choose(job)` is called for a click. */
export function showJobStrip(jobs, shown, choose, only) {
  const list = find("#strip");
  find("#session").hidden = jobs.length === 0;
  if (only && list.querySelector(`[data-job="${CSS.escape(only.id)}"]`)) {
    paint(list.querySelector(`[data-job="${CSS.escape(only.id)}"]`), only, only === shown);
    return;
  }
  const focused = document.activeElement?.dataset?.job;
  list.replaceChildren(...jobs.map((job) => {
    const button = make("button", { type: "button" },
      make("img", { alt: "", hidden: true }), make("progress", { max: 1, hidden: true }));
    button.dataset.job = job.id;
    button.addEventListener("click", () => choose(job));
    paint(button, job, job === shown);
    return make("li", {}, button);
  }));
  if (focused) list.querySelector(`[data-job="${CSS.escape(focused)}"]`)?.focus();
}

function paint(button, job, shown) {
  const status = job.status;
  const source = status?.image_urls?.[0] ?? job.preview?.Preview;
  const image = find("img", button);
  if (source && image.getAttribute("src") !== source) image.src = source;
  image.hidden = !source;
  const bar = find("progress", button);
  bar.hidden = !isUnfinished(job);
  bar.value = status?.Progress ?? 0;
  const request = status?.metadata?.request ?? job.request;
  const prompt = Object.keys(request).length ? wordsOf(request) : "a job";
  button.setAttribute("aria-label", `${prompt}: ${status?.Status ?? "sent"}`);
  button.setAttribute("aria-current", shown);
  button.title = prompt;
  button.dataset.state = status?.State ?? "PENDING";
}
