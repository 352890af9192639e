/* The page to work in: the form, the shown job, the session. */

import { get, Refused } from "./api.js";
import { find, make } from "./dom.js";
import { clearFaults, showRefusal } from "./faults.js";
import { base64, InitPicture, sizeFor } from "./init_picture.js";
import { isUnderWay, Jobs } from "./jobs.js";
import { bestSide, defaultRequest, loadOptions, offer } from "./options.js";
import { fromPicture, picturesOf, requestOf } from "./recipe.js";
import { bodyOf, draftOf, fillForm } from "./request.js";
import { nameJob, readAddress, rememberDraft, rememberedDraft } from "./session.js";
import { Stage } from "./stage.js";
import { showStrip } from "./strip.js";

const IDEAS = ["a red dragon on a beach", "a yellow duck on grass", "a white house at night"];
const form = find("#request");
let options = null;

const init = new InitPicture((picture) => {
  find("#strength").hidden = !picture;
  if (picture) {
    const side = bestSide(form.ckpt.value, options) ?? Math.max(form.W.value, form.H.value);
    fillSize(sizeFor(picture, side));
  }
  keepDraft();
});
const stage = new Stage({ recipe: useRecipe, start: startFrom });
const jobs = new Jobs((job) => {
  if (!job) nameJob(jobs.shown?.id);
  if (!job || job === jobs.shown) stage.show(jobs.shown, options);
  showStrip(jobs.list, jobs.shown, (chosen) => jobs.show(chosen), job);
});

async function submit() {
  if (find("#draw").disabled) return;
  find("#draw").disabled = true;
  clearFaults(form);
  try {
    const picture = init.picture;
    const body = bodyOf(form, { fromPicture: Boolean(picture) });
    await jobs.submit(body, picture, picture && (await base64(picture.blob)));
    if (matchMedia("(max-width: 60rem)").matches) find("#stage").scrollIntoView();
  } catch (refused) {
    refuse(refused);
  } finally {
    find("#draw").disabled = false;
  }
}

function cancel() {
  if (isUnderWay(jobs.shown) && jobs.shown) jobs.cancel(jobs.shown).catch(refuse);
}

/** Fill the form with what has drawn a picture; the job's own start comes along, if it is here. */
function useRecipe(request, job) {
  const kind = fromPicture(request) ? "img2img" : "txt2img";
  if (kind === "txt2img") init.clear();
  else if (job?.picture) init.set(job.picture);
  fill(request);
  if (kind === "img2img" && !init.picture) {
    find("#drop-words").textContent = "This recipe starts from a picture: drop or choose it";
  }
  keepDraft();
  find("#prompt").focus();
}

/** Start from a picture that was drawn, with its prompt. */
async function startFrom(source, request) {
  const picture = await fetch(source).catch(() => null);
  if (!picture?.ok) {
    refuse(new Refused(0, "The picture is no longer there."));
    return;
  }
  fill({ ...request, seed: null });
  await init.take(await picture.blob());
  find("#prompt").focus();
}

function fill(request) {
  const kind = fromPicture(request) ? "img2img" : "txt2img";
  fillForm(form, request, options.defaults[request.type]?.[kind]);
  strength();
}

function fillSize({ W, H }) {
  form.W.value = W;
  form.H.value = H;
}

function refuse(refused) {
  if (!(refused instanceof Refused)) throw refused;
  showRefusal(form, refused);
}

function keepDraft() {
  if (options) rememberDraft(draftOf(form, { fromPicture: Boolean(init.picture) }));
}

function strength() {
  find("#strength-value").textContent = Number(form.denoising_strength.value).toFixed(2);
}

function listen() {
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    submit();
  });
  form.addEventListener("input", () => {
    strength();
    keepDraft();
  });
  find("#cancel").addEventListener("click", cancel);
  find("#reset").addEventListener("click", () => {
    const { prompt, negative_prompt } = draftOf(form, { fromPicture: false });
    fill({ ...defaultRequest(options), prompt, negative_prompt });
    keepDraft();
  });
  document.addEventListener("keydown", (event) => {
    if (find("dialog[open]") || event.isComposing) return;
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) {
      event.preventDefault();
      submit();
    } else if (event.key === "Escape") {
      cancel();
    }
  });
  window.addEventListener("hashchange", () => followAddress());
}

function showIdeas() {
  find("#ideas").append(...IDEAS.map((idea) => {
    const button = make("button", { type: "button", className: "quiet" }, idea);
    button.addEventListener("click", () => {
      form.prompt.value = idea;
      keepDraft();
      form.prompt.focus();
    });
    return button;
  }));
}

/** Do what the address asks for: show a job, take a recipe or a picture over from the gallery. */
async function followAddress() {
  const { job, recipe, picture, number } = readAddress();
  if (job) {
    jobs.follow(job);
    return;
  }
  const id = recipe ?? picture;
  if (!id) return;
  nameJob(jobs.shown?.id);
  try {
    const status = await get(`/status/${encodeURIComponent(id)}?images=false`);
    const found = picturesOf(status).find((each) => each.number === number);
    if (!found) throw new Refused(404, "There is no such picture.");
    const request = requestOf(status, found);
    if (recipe) useRecipe(request, jobs.find(id));
    else await startFrom(found.source, request);
  } catch (refused) {
    refuse(refused);
  }
}

async function begin() {
  find("#settings").open = !matchMedia("(max-width: 60rem)").matches;
  listen();
  showIdeas();
  const address = location.hash;
  try {
    options = await loadOptions();
    init.most = options.limits.max_init_pixels;
    offer(form, options);
    fill({ ...defaultRequest(options), ...rememberedDraft() });
    strength();
  } catch (refused) {
    refuse(refused);
  }
  jobs.restore(); // which names a job in the address
  if (address) history.replaceState(null, "", address);
  await followAddress();
  document.body.dataset.ready = "";
}

begin();
