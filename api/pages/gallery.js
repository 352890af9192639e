/* The gallery: the unfinished jobs, and the finished pictures, newest first. */

import { get, getWithKey, post, ApiError } from "./api.js";
import { Cards } from "./cards.js";
import { find, make, setText } from "./dom.js";
import { takeKeyFromAddress } from "./key.js";
import { PictureDialog } from "./picture_dialog.js";
import { picturesOf, wordsOf } from "./recipe.js";

const PAUSE_BUSY = 1500;
const PAUSE_IDLE = 8000;

const dialog = new PictureDialog();
const cards = new Cards((index) => dialog.open(index));
let timer;

async function refresh() {
  clearTimeout(timer);
  let busy = false;
  try {
    const { Under_way: unfinished, Finished: finished } = await getWithKey("/recent?facts=true");
    busy = unfinished.length > 0;
    showJobs(unfinished);
    showPictures(finished);
    setText(find("#refusal"), "");
  } catch (error) {
    if (!(error instanceof ApiError)) throw error;
    setText(find("#refusal"), error.message);
    if (error.status === 401) {
      find("#refusal").append(" ", retryButton());
      return;
    }
  }
  if (!document.hidden) timer = setTimeout(refresh, busy ? PAUSE_BUSY : PAUSE_IDLE);
}

function retryButton() {
  const button = make("button", { type: "button" }, "Give a key");
  button.addEventListener("click", refresh);
  return button;
}

function showPictures(finished) {
  const pictures = finished.flatMap((status) =>
    picturesOf(status).map((picture) => ({ status, picture })));
  find("#nothing").hidden = pictures.length > 0;
  cards.show(pictures);
  dialog.setPictures(pictures);
}

function showJobs(jobs) {
  find("#under-way").hidden = jobs.length === 0;
  const list = find("#jobs");
  const kept = new Map([...list.children].map((item) => [item.dataset.job, item]));
  const items = jobs.map((job) => {
    const item = kept.get(job.task_id) ?? newItem(job);
    find("progress", item).value = job.Progress;
    find(".status", item).textContent = job.Status;
    return item;
  });
  // elements that stay in place keep the focus
  if (items.length !== list.children.length || items.some((item, at) => item !== list.children[at])) {
    list.replaceChildren(...items);
  }
}

function newItem(job) {
  const cancel = make("button", { type: "button", className: "quiet" }, "Cancel");
  cancel.addEventListener("click", async () => {
    cancel.disabled = true;
    const error = await post(`/cancel/${encodeURIComponent(job.task_id)}`).catch((why) => why);
    await refresh();
    cancel.disabled = !(error instanceof ApiError);
    // 409: it has ended already
    if (error instanceof ApiError && error.status !== 409) setText(find("#refusal"), error.message);
  });
  const item = make("li", {},
    make("a", { className: "words", href: `/#job=${job.task_id}` }, wordsOf(job.request)),
    make("progress", { max: 1, "aria-label": "How far the job is" }),
    make("div", { className: "line" },
      make("span", {}, make("span", { className: "status" }), ` · ${job.active_model || job.type}`), cancel));
  item.dataset.job = job.task_id;
  return item;
}

takeKeyFromAddress();
document.addEventListener("visibilitychange", () => { if (!document.hidden) refresh(); });
get("/capabilities").then((capabilities) => dialog.setDefaults(capabilities.defaults), () => {});
window.addEventListener("hashchange", () => dialog.openFromAddress());
refresh().then(() => {
  dialog.openFromAddress();
  document.body.dataset.ready = "";
});
