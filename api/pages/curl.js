/* A request as a curl command. It reads the key from the shell variable API_KEY. */

import { make } from "./dom.js";
import { fileName, kindOf, requestOf } from "./recipe.js";

// expressed otherwise in the command, or useless in a shell
const LEFT_OUT = ["from-file", "synchronous_request", "return_base64", "device"];

// left out they would be filled in by the defaults of a model or of a LoRA
const SAID = ["ddim_steps", "scale", "sampler", "scheduler", "vae", "W", "H"];

/** The command that generates a picture again. `defaults` are those of /capabilities. */
export function curlCommand(status, picture, defaults, origin) {
  const request = requestOf(status, picture);
  const file = fileName(status, picture);
  const kind = kindOf(request);
  const defaultsOfKind = defaults?.[request.type]?.[kind] ?? {};
  const body = kind === "upscale" ? {} : { prompt: request.prompt };
  for (const [name, value] of Object.entries(request)) {
    const same = JSON.stringify(value) === JSON.stringify(defaultsOfKind[name]);
    if (!LEFT_OUT.includes(name) && (!same || SAID.includes(name))) body[name] = value;
  }
  body.synchronous_request = true;
  const json = quoted(JSON.stringify(body, null, 2));
  const headers = `-H "X-API-Key: $API_KEY" -H 'Content-Type: application/json'`;
  if (kind === "txt2img") {
    return `curl -sS --fail-with-body ${origin}/generate ${headers} -o ${quoted(file)} -d ${json}`;
  }
  // The body comes through a pipe: a picture is too long for a command line.
  const files = { init_img: "picture.png" };
  if (status.metadata.inputs.includes("mask")) files.mask = "mask.png";
  let text = JSON.stringify(body, null, 2).slice(0, -2);
  let pipe = "{ ";
  for (const [field, name] of Object.entries(files)) {
    pipe += `printf %s ${quoted(`${text},\n  "${field}": "`)}; base64 < ${name} | tr -d '\\n'; `;
    text = '"';
  }
  return `${pipe}printf '"}'; } |\n`
    + `  curl -sS --fail-with-body ${origin}/${kind} ${headers} -o ${quoted(file)} -d @-`;
}

/** The command, with a button that copies it. */
export function curlBlock(command) {
  const shown = make("pre", { tabIndex: 0, className: "command" }, command);
  const button = make("button", { type: "button", className: "quiet copy" }, "Copy");
  button.addEventListener("click", async () => {
    button.textContent = (await copied(command, shown)) ? "Copied" : "Press Ctrl-C";
    setTimeout(() => { button.textContent = "Copy"; }, 2000);
  });
  return make("details", { className: "curl" },
    make("summary", {}, "As a curl command"), shown, button);
}

/** Browsers allow the clipboard on secure origins only; elsewhere the text is selected. */
async function copied(text, shown) {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    getSelection().selectAllChildren(shown);
    return document.execCommand("copy");
  }
}

const quoted = (text) => `'${text.replaceAll("'", `'\\''`)}'`;
