/* What a model, and a preset of it, wants in the fields of the form. */

import { find, fillSelect } from "./dom.js";

const WANTED = ["ddim_steps", "scale", "sampler", "vae"];
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

/** Those of them that have a field in the form. */
export function wantedBy(ckpt, preset, options) {
  const type = options.types[0] ?? "optimized";
  const all = defaultsOf({ ckpt, preset, type }, options);
  return Object.fromEntries(WANTED.map((name) => [name, all[name] ?? ""]));
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

/** Fill in what another model wants, unless the user has chosen it, or all that a preset wants. */
export function fillWanted(form, options, { all }) {
  const before = wanted;
  offerPresets(form, options);
  noteWanted(form, options);
  for (const [name, value] of Object.entries(wanted)) {
    if (all || form[name].value === String(before[name])) form[name].value = value;
  }
}
