/* The form as the body of a request, and back. */

import { find, setText } from "./dom.js";
import { isWanted } from "./presets.js";

const WORDS = ["prompt", "negative_prompt"];
const CHOICES = ["ckpt", "preset", "vae", "sampler", "type", "format"];
const NUMBERS = ["W", "H", "ddim_steps", "scale", "n_iter"];
const STRENGTH = "denoising_strength";
const INPUTS = [...WORDS, ...CHOICES, ...NUMBERS, STRENGTH, "seed"];
const ofEditor = (name) => name.startsWith("mask_") || name === "extend";

let extras = {}; // parameters without an input that change the picture; a recipe may set them
let fields = {}; // those that change the picture, by kind

/**
 * The request body of the form, without the init image. Invalid numbers are sent, so that the
 * server reports them.
 */
export function bodyOf(form, { fromPicture }) {
  const body = {};
  for (const name of [...WORDS, ...CHOICES]) {
    if (form[name].value !== "") body[name] = form[name].value;
  }
  // left out, it would be that of the model's defaults
  if (form.vae.value === "" && isWanted("vae")) body.vae = null;
  body.prompt ??= "";
  for (const name of NUMBERS) {
    const number = numberIn(form[name]);
    if (number !== null) body[name] = number;
  }
  body.seed = numberIn(form.seed);
  if (fromPicture) body[STRENGTH] = Number(form[STRENGTH].value);
  for (const [name, value] of Object.entries(extras)) {
    if (fields[fromPicture ? "img2img" : "txt2img"].includes(name)) body[name] = value;
  }
  return body;
}

/** The number in an input; null if it is empty. What is no number is sent as such. */
export function numberIn(input) {
  if (input.validity.badInput) return "not a number";
  return input.value === "" ? null : Number(input.value);
}

/**
 * Put a request into the form; absent fields are unchanged. `defaults` are those of its kind,
 * `pictureFields` those of /capabilities, `note` is said of what the form cannot take over.
 */
export function fillForm(form, request, { defaults, pictureFields, note }) {
  for (const name of WORDS) form[name].value = request[name] ?? form[name].value;
  for (const name of CHOICES) {
    if (!(name in request)) continue;
    const value = request[name] ?? "";
    if ([...form[name].options].some((option) => option.value === value)) form[name].value = value;
  }
  for (const name of NUMBERS) form[name].value = request[name] ?? form[name].value;
  if ("seed" in request) form.seed.value = request.seed ?? "";
  if (request[STRENGTH] !== undefined) form[STRENGTH].value = request[STRENGTH];
  fields = pictureFields;
  const isExtra = (name) => !INPUTS.includes(name) && !ofEditor(name)
    && (request[name] ?? null) !== null
    && JSON.stringify(request[name]) !== JSON.stringify(defaults[name]);
  extras = Object.fromEntries(
    [...fields.txt2img, ...fields.img2img].filter(isExtra).map((name) => [name, request[name]]),
  );
  const said = Object.entries(extras).map(([name, value]) => `${name} ${inWords(value)}`).join(", ");
  setText(find("#extras"), [said && `Also from the recipe: ${said}.`, note].filter(Boolean).join(" "));
}

const inWords = (value) => (typeof value === "object" ? JSON.stringify(value) : value);

/** The content of the form, to be restored after a reload. */
export const draftOf = (form, options) => ({ ...bodyOf(form, options), ...extras });
