/* The page with the form, the shown job and the jobs of the session. */

import { get, ApiError } from "./api.js";
import { find, make } from "./dom.js";
import { Editor } from "./editor.js";
import { clearErrors, showError } from "./field_errors.js";
import { base64, InitPicture, fittedSize, ownSize } from "./init_picture.js";
import { isUnfinished, Jobs } from "./jobs.js";
import { defaultRequest, fillChoices, limitSize, loadOptions } from "./options.js";
import { defaultsOf, fillWanted, nativeSide, noteWanted, offerPresets } from "./presets.js";
import { fromPicture, hadMask, kindOf, picturesOf, requestOf } from "./recipe.js";
import { bodyOf, draftOf, fillForm } from "./request.js";
import { setAddressJob, readAddress, rememberDraft, rememberedDraft } from "./session.js";
import { JobView } from "./job_view.js";
import { showJobStrip } from "./job_strip.js";
import { offerRecipes } from "./picture_recipe.js";

const IDEAS = ["a red dragon on a beach", "a yellow duck on grass", "a white house at night"];
const MASK_NOT_KEPT = "Its mask is not kept: paint it again.";
const form = find("#request");
let options = null;

const editor = new Editor(form);
const init = new InitPicture((picture, source) => {
  find("#strength").hidden = !picture;
  editor.show(picture, source);
  if (picture?.width) {
    const side = nativeSide(form.ckpt.value, options) ?? Math.max(form.W.value, form.H.value);
    fillSize(fittedSize(picture, side));
  }
  keepDraft();
});
const jobView = new JobView({ recipe: useRecipe, edit, enlarge });
const jobs = new Jobs((job) => {
  if (!job) setAddressJob(jobs.shown?.id);
  if (!job || job === jobs.shown) jobView.show(jobs.shown, options);
  showJobStrip(jobs.list, jobs.shown, (chosen) => jobs.show(chosen), job);
});

async function submit() {
  if (find("#draw").disabled) return;
  find("#draw").disabled = true;
  clearErrors(find("main"));
  try {
    const picture = init.picture;
    const mask = await editor.mask();
    const body = { ...bodyOf(form, { fromPicture: Boolean(picture) }), ...editor.parameters };
    const inputs = {
      ...(picture && { init_img: await base64(picture.blob) }),
      ...(mask && { mask: await base64(mask) }),
    };
    await jobs.submit(body, inputs, { picture, strokes: [...editor.strokes] });
    if (editor.open || matchMedia("(max-width: 60rem)").matches) find("#stage").scrollIntoView();
  } catch (error) {
    fail(error);
  } finally {
    find("#draw").disabled = false;
  }
}

function cancel() {
  if (isUnfinished(jobs.shown) && jobs.shown) jobs.cancel(jobs.shown).catch(fail);
}

/** Fill the form with the request of a picture, and the job's inputs if this tab has them. */
function useRecipe(request, status, job) {
  const kind = fromPicture(request) ? "img2img" : "txt2img";
  if (kind === "txt2img") init.clear();
  else if (job?.picture) init.set(job.picture);
  fill(request, { masked: hadMask(status), note: hadMask(status) && !job?.picture });
  if (job?.picture && editor.open) editor.strokes = job.strokes;
  if (kind === "img2img" && !init.picture) {
    find("#drop-words").textContent = "This recipe starts from a picture: drop or choose it";
  }
  keepDraft();
  find("#prompt").focus();
}

/** Use a generated picture as init image, with its recipe, and paint on it. */
async function edit(source, request) {
  const picture = await fetched(source);
  if (!picture) return;
  const { extend, vary, upscale, post_upscale, output_width, output_height, ...recipe } = request;
  const { defaultValue: denoising_strength } = form.denoising_strength;
  if (kindOf(request) !== "upscale") fill({ ...recipe, seed: null, denoising_strength });
  await init.take(picture);
  if (!editor.open) return;
  fillSize(ownSize(init.picture, options.max_sides[form.ckpt.value] ?? Infinity));
  keepDraft();
  find("#editor").scrollIntoView();
  find("#paint").focus({ preventScroll: true });
}

/** Submit a job that enlarges a picture, and show it. */
async function enlarge(source, { type, format }) {
  const picture = await fetched(source);
  if (!picture) return;
  try {
    await jobs.submit({ type, format, upscaler: "default" }, { init_img: await base64(picture) });
  } catch (error) {
    fail(error);
  }
}

/** The file of a picture; null if it is no longer there, which the form says. */
async function fetched(source) {
  const answer = await fetch(source).catch(() => null);
  if (answer?.ok) return answer.blob();
  fail(new ApiError(0, "The picture is no longer there."));
  return null;
}

function fill(request, { masked, note } = {}) {
  const kind = fromPicture(request) ? "img2img" : "txt2img";
  offerPresets(form, options, request.ckpt ?? form.ckpt.value);
  fillForm(form, request, {
    defaults: defaultsOf({ ...request, kind }, options),
    pictureFields: options.picture_fields,
    note: note && MASK_NOT_KEPT,
  });
  noteWanted(form, options);
  strength();
  limitSize(form, options);
  editor.fill(request, { masked });
}

function fillSize({ W, H }) {
  form.W.value = W;
  form.H.value = H;
  editor.layout();
}

function fail(error) {
  if (!(error instanceof ApiError)) throw error;
  showError(find("main"), error);
}

function keepDraft() {
  if (options) rememberDraft(draftOf(form, { fromPicture: Boolean(init.picture) }));
}

/** Fill the form with the recipe that a picture carries; what it lacks has its default. */
function usePictureRecipe({ kind, request }) {
  const { type, ckpt } = bodyOf(form, { fromPicture: false });
  if (kind === "txt2img") init.clear();
  const { ckpt: _, ...defaults } = options.defaults[type][kind];
  const all = { negative_prompt: "", ...defaults, type, ckpt, seed: null, n_iter: 1, ...request };
  fill(all, { masked: "mask_blur" in request });
  keepDraft();
  find("#prompt").focus();
}

function strength() {
  find("#strength-value").textContent = Number(form.denoising_strength.value).toFixed(2);
}

function listen() {
  offerRecipes(usePictureRecipe, fail);
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    submit();
  });
  form.addEventListener("input", () => {
    strength();
    if (options) limitSize(form, options);
    editor.layout();
    keepDraft();
  });
  for (const select of [form.ckpt, form.preset]) {
    select.addEventListener("change", () => {
      const how = { all: select === form.preset, fromPicture: Boolean(init.picture) };
      if (options) fillWanted(form, options, how);
      keepDraft();
    });
  }
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

/** Follow the address: show a job, or take a recipe or a picture from the gallery. */
async function followAddress() {
  const { job, recipe, picture, number } = readAddress();
  if (job) {
    jobs.follow(job);
    return;
  }
  const id = recipe ?? picture;
  if (!id) return;
  setAddressJob(jobs.shown?.id);
  try {
    const status = await get(`/status/${encodeURIComponent(id)}?images=false`);
    const found = picturesOf(status).find((each) => each.number === number);
    if (!found) throw new ApiError(404, "There is no such picture.");
    const request = requestOf(status, found);
    if (recipe) useRecipe(request, status, jobs.find(id));
    else await edit(found.source, request);
  } catch (error) {
    fail(error);
  }
}

async function begin() {
  find("#settings").open = !matchMedia("(max-width: 60rem)").matches;
  listen();
  showIdeas();
  const address = location.hash;
  try {
    options = await loadOptions();
    init.maxPixels = options.limits.max_init_pixels;
    init.types = options.init_image_types;
    fillChoices(form, options);
    fill({ ...defaultRequest(options), ...rememberedDraft() });
    strength();
  } catch (error) {
    fail(error);
  }
  jobs.restore(); // changes the address
  if (address) history.replaceState(null, "", address);
  find("#draw").disabled = false; // a job before would be restored a second time
  await followAddress();
  document.body.dataset.ready = "";
}

begin();
