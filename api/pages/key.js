/* The API key: asked for when the server wants one, kept for this session of the browser. */

import { make } from "./dom.js";

const KEPT_AS = "api-key";

/** A key in the address, as programs may send it, is kept, and taken out of the address. */
export function keepKeyOfAddress() {
  const address = new URL(location.href);
  const key = address.searchParams.get("api_key");
  if (!key) return;
  sessionStorage.setItem(KEPT_AS, key);
  address.searchParams.delete("api_key");
  history.replaceState(history.state, "", address);
}

/** The header that carries the key; none while no key is known. */
export function keyHeader() {
  const key = sessionStorage.getItem(KEPT_AS);
  if (!key) return {};
  // fetch wants one byte a character; the server reads these bytes as UTF-8
  const bytes = new TextEncoder().encode(key);
  return { "X-API-Key": String.fromCharCode(...bytes) };
}

let asking = null;

/** Ask for the key; false when nobody gives one. Two that ask at once are answered by one. */
export function askForKey() {
  asking ??= ask().finally(() => { asking = null; });
  return asking;
}

function ask() {
  const refused = sessionStorage.getItem(KEPT_AS) !== null;
  const input = make("input", {
    id: "key", type: "password", autocomplete: "off", required: true,
    "aria-describedby": "key-why",
  });
  const form = make("form", {},
    make("label", { htmlFor: "key" }, "API key"),
    make("p", { id: "key-why", className: refused ? "fault" : "hint" },
      refused ? "The server does not know this key." : "The server asks for one. It is kept until this tab is closed."),
    input,
    make("div", { className: "buttons" },
      make("button", { type: "submit", className: "main" }, "Go on"),
      make("button", { type: "button", value: "no", id: "no-key" }, "Cancel")));
  const dialog = make("dialog", { className: "key", "aria-label": "API key" }, form);
  document.body.append(dialog);
  return new Promise((resolve) => {
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      sessionStorage.setItem(KEPT_AS, input.value.trim());
      dialog.close("given");
    });
    dialog.querySelector("#no-key").addEventListener("click", () => dialog.close());
    dialog.addEventListener("close", () => {
      dialog.remove();
      resolve(dialog.returnValue === "given");
    });
    dialog.showModal();
    input.focus();
  });
}
