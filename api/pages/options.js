/* What can be chosen, from /capabilities and /models. */

import { get } from "./api.js";
import { find, make } from "./dom.js";

// what a kind of model was trained at, in pixels a side: there it draws best
const TRAINED_AT = { tiny: 256, "sd2-v": 768 };

/** What the server offers, and the models with their facts. */
export async function loadOptions() {
  const [capabilities, { models }] = await Promise.all([get("/capabilities"), get("/models")]);
  return { ...capabilities, facts: models };
}

/** Fill the lists of the form. */
export function offer(form, options) {
  fill(form.ckpt, options.models.map((name) => [name, modelLabel(name, options)]));
  fill(form.sampler, options.samplers.map(({ key, label }) => [key, label]));
  find('[data-field="type"]').hidden = options.types.length < 2;
  fill(form.type, options.types.map((type) => [type, type]));
  fill(form.format, options.formats.map((format) => [format, format]));
  const side = Math.max(options.limits.max_side, options.limits.max_side_768);
  for (const input of [form.W, form.H]) input.max = side;
  form.n_iter.max = options.limits.max_images;
}

/** The request with which the form begins. */
export function defaultRequest(options) {
  const type = options.types[0] ?? "optimized";
  const defaults = options.defaults[type].txt2img;
  const ckpt = options.default_model;
  const side = bestSide(ckpt, options) ?? defaults.W;
  return { ...defaults, type, ckpt, seed: null, W: side, H: side };
}

/** The side at which a model draws best, as far as a request may go; undefined: not known. */
export function bestSide(name, options) {
  const side = TRAINED_AT[options.facts.find((model) => model.name === name)?.kind];
  return side && Math.min(side, Math.max(options.limits.max_side, options.limits.max_side_768));
}

function modelLabel(name, options) {
  const kind = options.facts.find((model) => model.name === name)?.kind;
  return kind && kind !== name ? `${name} (${kind})` : name;
}

function fill(select, choices) {
  const chosen = select.value;
  select.replaceChildren(...choices.map(([value, text]) => make("option", { value }, text)));
  if (choices.some(([value]) => value === chosen)) select.value = chosen;
}
