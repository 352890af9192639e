/* The parameters of a picture, from the status of its job. */

import { make } from "./dom.js";

// a job may have one of each for every part, in a list whose name ends in "s"
const PROMPTS = ["prompt", "negative_prompt", "hires_prompt", "hires_negative_prompt"];

/** The pictures of a finished job: address, number, size and seed of each (a grid has no seed). */
export function picturesOf(status) {
  return (status.image_urls ?? []).map((source, index) => ({
    source,
    number: source.split("/").pop(),
    size: status.sizes?.[index] ?? status.Size, // of an older server
    seed: source.endsWith("/grid") ? undefined : status.seeds[index], // an enlarged one has none
  }));
}

/** The request that generates this one picture again. */
export function requestOf(status, picture) {
  const { request: stored, model, sampler } = status.metadata;
  const number = Number(picture.number);
  const { combinations = [], ...request } = stored, texts = {};
  for (const field of PROMPTS) {
    const ofParts = stored[`${field}s`];
    if (ofParts) texts[field] = ofParts[number % ofParts.length] ?? stored[field];
    delete request[`${field}s`];
  }
  return {
    ...request,
    ...(kindOf(request) === "upscale" ? {} : {
      ckpt: model,
      sampler,
      ...combinationOf(request, combinations, number),
      ...texts,
      ...(request.wildcards && picture.seed !== undefined ? { wildcards: false } : {}),
      seed: picture.seed ?? request.seed,
    }),
    ...(picture.seed === undefined ? {} : { n_iter: 1, n_samples: 1 }),
  };
}

/** The values that a picture of a comparison has, row by row. */
function combinationOf(request, combinations, number) {
  if (!request.vary) return {};
  if (Number.isNaN(number)) { // of the grid: what each model has of its own is left to the models
    const own = combinations.flatMap(Object.keys).filter((name) => name !== "prompt");
    return Object.fromEntries(own.map((name) => [name, undefined]));
  }
  const [[across, columns], [down, rows] = []] = Object.entries(request.vary);
  const place = Math.floor(number / (request.n_iter * request.n_samples));
  return {
    [across]: columns[place % columns.length],
    ...(down ? { [down]: rows[Math.floor(place / columns.length)] } : {}),
    ...combinations[place],
    vary: null,
  };
}

/** Whether it is an img2img request. */
export const fromPicture = (request) => request.denoising_strength !== undefined;

/** The kind of a request. */
export function kindOf(request) {
  if (request.upscaler !== undefined) return "upscale";
  return fromPicture(request) ? "img2img" : "txt2img";
}

/** Whether the job had a mask, which the service does not keep. */
export const hadMask = ({ metadata: { inputs, request } }) =>
  inputs.includes("mask") || Boolean(request.mask_from_alpha);

/** What a job makes, in words. */
export const wordsOf = (request) => request.prompt
  || (kindOf(request) === "upscale" ? "an enlarged picture" : "prompts of a file");

/** A file name for a picture. */
export function fileName(status, picture) {
  const words = wordsOf(requestOf(status, picture)).match(/[\p{L}\p{N}]+/gu) ?? ["picture"];
  const name = words.join("-").toLowerCase().slice(0, 48);
  return `${name}-${picture.seed ?? picture.number}.${status.Format}`;
}

/** All parameters, as a description list. */
export function recipeList(status, picture) {
  const request = requestOf(status, picture);
  const facts = status.metadata;
  const steps = facts.executed_steps === facts.steps
    ? `${facts.steps}` : `${facts.executed_steps} of ${facts.steps}`;
  const rows = [
    ["Prompt", request.prompt, "long"],
    ["Not in it", request.negative_prompt, "long"],
    ["Seed", picture.seed],
    ["Model", request.ckpt === facts.model && facts.model
      ? `${facts.model} ${facts.model_hash}` : request.ckpt],
    ["Preset", request.preset ?? undefined],
    ["VAE", facts.vae],
    ["Sampler", request.sampler],
    ["Steps", request.ddim_steps === facts.steps ? facts.steps && steps : request.ddim_steps],
    ["Scale", request.scale],
    ["Strength", request.denoising_strength],
    ["Mask", hadMask(status) ? "not kept" : undefined],
    ["Extended", extended(request.extend)],
    ["Upscaler", facts.upscaler],
    ["Size", picture.size.join(" × ")],
    ["Type", status.type],
    ["Time", timings(facts.timings), "long"],
    ...status.Warnings.map((warning) => ["Note", warning, "long"]),
  ];
  const list = make("dl", { className: "recipe" });
  for (const [term, value, className = ""] of rows) {
    if (value === undefined || value === "") continue;
    list.append(make("div", { className },
      make("dt", {}, term), make("dd", {}, `${value}`)));
  }
  return list;
}

function extended(sides) {
  if (!sides) return undefined;
  return Object.entries(sides).map(([side, pixels]) => `${side} ${pixels}`).join(" · ");
}

function timings(seconds) {
  return Object.entries(seconds)
    .filter(([, time]) => time >= 0.05)
    .map(([phase, time]) => `${phase} ${time < 10 ? time.toFixed(1) : Math.round(time)} s`)
    .join(" · ");
}
