/* What a model, and a preset of it, wants in the fields of the form. */

import { find, fillSelect } from "./dom.js";

const WANTED = ["ddim_steps", "scale", "sampler", "vae"];
const SIZE = ["W", "H"];
let wanted = {}; // by the form's model and preset

/**
 * The defaults of a kind and type, under those of a model with a preset (empty: without one).
 * Those that only txt2img has are among them: a draft of a picture keeps what its text had.
 */
export function defaultsOf({ ckpt, preset, type, kind = "txt2img" }, options) {
  const { defaults = {}, presets = {} } = options.model_defaults[ckpt] ?? {};
  const kinds = options.defaults[type];
  return { ...kinds?.txt2img, ...kinds?.[kind], ...(presets[preset] ?? defaults) };
}

/** Those of them that have a field in the form; the size is the model's native one if it has no own. */
export function wantedBy(ckpt, preset, options) {
  const type = options.types[0] ?? "optimized";
  const all = defaultsOf({ ckpt, preset, type }, options);
  const own = defaultsOf({ ckpt, preset }, options), most = options.max_sides[ckpt] ?? Infinity;
  const sides = SIZE.map((name) => own[name] ?? nativeSide(ckpt, options) ?? all[name]);
  return {
    ...Object.fromEntries(WANTED.map((name) => [name, all[name] ?? ""])),
    ...Object.fromEntries(SIZE.map((name, index) => [name, Math.min(sides[index], most)])),
  };
}

/** The model's native size, within the limit of a request; undefined if it is unknown. */
export function nativeSide(name, options) {
  const side = options.native_sizes[name];
  return side && Math.min(side, options.max_sides[name]);
}

/** Offer the presets of a model; the one that was chosen stays if the model has it. */
export function offerPresets(form, options, ckpt = form.ckpt.value) {
  const presets = Object.keys(options.model_defaults[ckpt]?.presets ?? {}).sort();
  find('[data-field="preset"]').hidden = !presets.length;
  fillSelect(form.preset, [["", "none"], ...presets.map((name) => [name, name])]);
}

/** Remember what the form's model and preset want, which its fields may differ from. */
export function noteWanted(form, options) {
  wanted = wantedBy(form.ckpt.value, form.preset.value, options);
}

/** Whether the form's model or preset wants a value in this field. */
export const isWanted = (name) => (wanted[name] ?? "") !== "";

/**
 * Fill in what another model wants, unless the user has chosen it, or all that a preset wants. The
 * size stays if the user, or the picture to start from, has decided it.
 */
export function fillWanted(form, options, { all, fromPicture }) {
  const before = wanted;
  const unchanged = (name) => form[name].value === String(before[name]);
  const sizes = !fromPicture && SIZE.every(unchanged) ? SIZE : [];
  const names = [...WANTED.filter((name) => all || unchanged(name)), ...sizes];
  offerPresets(form, options);
  noteWanted(form, options);
  for (const name of names) form[name].value = wanted[name];
}
