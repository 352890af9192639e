/* The form's choices, from /capabilities and /models. */

import { get } from "./api.js";
import { find, fillSelect } from "./dom.js";
import { wantedBy } from "./presets.js";

/** The capabilities of the server; `facts` describes each of its models. */
export async function loadOptions() {
  const [capabilities, { models }] = await Promise.all([get("/capabilities"), get("/models")]);
  return { ...capabilities, facts: models };
}

/** Fill the lists of the form. */
export function fillChoices(form, options) {
  fillSelect(form.ckpt, options.models.map((name) => [name, modelLabel(name, options)]));
  find('[data-field="vae"]').hidden = !options.vaes.length;
  fillSelect(form.vae, [["", "the model's own"], ...options.vaes.map((name) => [name, name])]);
  fillSelect(form.sampler, options.samplers.map(({ key, label }) => [key, label]));
  find('[data-field="type"]').hidden = options.types.length < 2;
  fillSelect(form.type, options.types.map((type) => [type, type]));
  fillSelect(form.format, options.formats.map((format) => [format, format]));
  form.n_iter.max = options.limits.max_images;
}

/** The request that the form starts with. */
export function defaultRequest(options) {
  const type = options.types[0] ?? "optimized";
  const defaults = options.defaults[type].txt2img;
  const ckpt = options.default_model;
  return { ...defaults, ...wantedBy(ckpt, "", options), type, ckpt, seed: null };
}

/** Set the largest width and height that a request may have with the form's model. */
export function limitSize(form, options) {
  const side = options.max_sides[form.ckpt.value];
  for (const input of [form.W, form.H]) input.max = side ?? "";
}

function modelLabel(name, options) {
  const kind = options.facts.find((model) => model.name === name)?.kind;
  return kind && kind !== name ? `${name} (${kind})` : name;
}
