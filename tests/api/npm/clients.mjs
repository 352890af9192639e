// What two npm packages make of the service's OpenAI dialect, as one line of JSON.
// Usage: node clients.mjs ADDRESS KEY PICTURE MASK

import { readFile } from "node:fs/promises";

import { createOpenAICompatible } from "@ai-sdk/openai-compatible";
import { generateImage } from "ai";
import OpenAI, { toFile } from "openai";

const [address, key, picture, mask] = process.argv.slice(2);
const client = new OpenAI({ baseURL: `${address}/v1`, apiKey: key, maxRetries: 0 });
const provider = createOpenAICompatible({ name: "here", baseURL: `${address}/v1`, apiKey: key });
const request = { model: "tiny", size: "192x192" };
const few = { steps: 2, seed: 7 };

const ofSdk = async (prompt) =>
  (await client.images.generate({ ...request, prompt, ...few })).data[0].b64_json;

const file = async (path) => toFile(await readFile(path), path, { type: "image/png" });

async function editOfSdk() {
  const answer = await client.images.edit({
    ...request,
    prompt: "a blue square",
    image: await file(picture),
    mask: await file(mask),
    ...few,
  });
  return answer.data[0].b64_json;
}

async function streamOfSdk() {
  const stream = await client.images.generate({
    ...request, prompt: "a red circle", steps: 12, stream: true, partial_images: 2,
  });
  const types = [];
  for await (const event of stream) types.push(event.type);
  return types;
}

async function errorOfSdk() {
  try {
    await client.images.generate({ ...request, prompt: "a red circle", size: "lots" });
  } catch (error) {
    return { name: error.constructor.name, status: error.status, param: error.param };
  }
  return null;
}

async function ofAiSdk() {
  const { image, warnings } = await generateImage({
    model: provider.imageModel(request.model),
    prompt: "a red circle",
    size: request.size,
    providerOptions: { here: few },
    maxRetries: 0,
  });
  return { image: image.base64, warnings };
}

async function editOfAiSdk(more = {}) {
  const { image } = await generateImage({
    model: provider.imageModel(request.model),
    prompt: { text: "a blue square", images: [await readFile(picture)], ...more },
    size: request.size,
    providerOptions: { here: few },
    maxRetries: 0,
  });
  return image.base64;
}

console.log(JSON.stringify({
  models: (await client.models.list()).data.map((model) => model.id),
  sdk: await ofSdk("a red circle"),
  sdkEdit: await editOfSdk(),
  sdkEvents: await streamOfSdk(),
  sdkError: await errorOfSdk(),
  aiSdk: await ofAiSdk(),
  aiSdkEdit: await editOfAiSdk(),
  aiSdkMasked: await editOfAiSdk({ mask: await readFile(mask) }),
}));
