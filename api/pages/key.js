/* The API key: taken from the address or requested in a dialog, kept in the session storage of this tab. */

import { make } from "./dom.js";

const KEPT_AS = "api-key";

/* Store the key of `#key=...` or of the parameter `api_key`, and remove it from the address. */
function takeKeyFromAddress() {
  const address = new URL(location.href);
  const fragment = new URLSearchParams(address.hash.slice(1));
  const key = fragment.get("key") || address.searchParams.get("api_key");
  if (!key) return;
  sessionStorage.setItem(KEPT_AS, key);
  if (fragment.has("key")) {
    fragment.delete("key");
    address.hash = fragment;
  }
  address.searchParams.delete("api_key");
  history.replaceState(history.state, "", address);
}

takeKeyFromAddress();
window.addEventListener("hashchange", takeKeyFromAddress);

/** The header with the key; empty while no key is known. */
export function keyHeader() {
  const key = sessionStorage.getItem(KEPT_AS);
  if (!key) return {};
  // fetch allows one byte per character; the server decodes these bytes as UTF-8
  const bytes = new TextEncoder().encode(key);
  return { "X-API-Key": String.fromCharCode(...bytes) };
}

let asking = null;

/** Ask for the key; false if the dialog is cancelled. Concurrent calls share one dialog. */
export function askForKey() {
  asking ??= ask().finally(() => { asking = null; });
  return asking;
}

function ask() {
  const rejected = sessionStorage.getItem(KEPT_AS) !== null;
  const input = make("input", {
    id: "key", type: "password", autocomplete: "off", required: true,
    "aria-describedby": "key-why key-where",
  });
  const form = make("form", {},
    make("label", { htmlFor: "key" }, "API key"),
    make("p", { id: "key-why", className: rejected ? "fault" : "hint" },
      rejected ? "The server does not know this key." : "The server requires one. It is kept until this tab is closed."),
    make("p", { id: "key-where", className: "hint" },
      "`make up` prints a link with a key. The keys are in API_KEYS in the file .env of the server; else ask its operator."),
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
