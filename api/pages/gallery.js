/* The gallery: what is under way, and the finished pictures, newest first. */

import { get, getWithKey, post, Refused } from "./api.js";
import { Cards } from "./cards.js";
import { find, make, say } from "./dom.js";
import { keepKeyOfAddress } from "./key.js";
import { Large } from "./large.js";
import { picturesOf } from "./recipe.js";

const PAUSE_BUSY = 1500;
const PAUSE_IDLE = 8000;

const large = new Large();
const cards = new Cards((place) => large.open(place));
let timer;

async function look() {
  clearTimeout(timer);
  let busy = false;
  try {
    const { Under_way: under_way, Finished: finished } = await getWithKey("/recent?facts=true");
    busy = under_way.length > 0;
    showJobs(under_way);
    showPictures(finished);
    say(find("#refusal"), "");
  } catch (refused) {
    if (!(refused instanceof Refused)) throw refused;
    say(find("#refusal"), refused.message);
    if (refused.status === 401) {
      find("#refusal").append(" ", again());
      return;
    }
  }
  if (!document.hidden) timer = setTimeout(look, busy ? PAUSE_BUSY : PAUSE_IDLE);
}

function again() {
  const button = make("button", { type: "button" }, "Give a key");
  button.addEventListener("click", look);
  return button;
}

function showPictures(finished) {
  const pictures = finished.flatMap((status) =>
    picturesOf(status).map((picture) => ({ status, picture })));
  find("#nothing").hidden = pictures.length > 0;
  cards.show(pictures);
  large.know(pictures);
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
  // what stays in its place keeps the focus
  if (items.length !== list.children.length || items.some((item, at) => item !== list.children[at])) {
    list.replaceChildren(...items);
  }
}

function newItem(job) {
  const cancel = make("button", { type: "button", className: "quiet" }, "Cancel");
  cancel.addEventListener("click", async () => {
    cancel.disabled = true;
    const refused = await post(`/cancel/${encodeURIComponent(job.task_id)}`).catch((why) => why);
    await look();
    cancel.disabled = !(refused instanceof Refused);
    // 409: it has ended already, which is what was wanted
    if (refused instanceof Refused && refused.status !== 409) say(find("#refusal"), refused.message);
  });
  const item = make("li", {},
    make("a", { className: "words", href: `/#job=${job.task_id}` }, job.request.prompt || "prompts of a file"),
    make("progress", { max: 1, "aria-label": "How far the job is" }),
    make("div", { className: "line" },
      make("span", {}, make("span", { className: "status" }), ` · ${job.active_model}`), cancel));
  item.dataset.job = job.task_id;
  return item;
}

keepKeyOfAddress();
document.addEventListener("visibilitychange", () => { if (!document.hidden) look(); });
get("/capabilities").then((capabilities) => large.knowDefaults(capabilities.defaults), () => {});
window.addEventListener("hashchange", () => large.openFromAddress());
look().then(() => {
  large.openFromAddress();
  document.body.dataset.ready = "";
});
