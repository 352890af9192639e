/* The picture to start from: dropped, pasted, chosen, or one that was drawn before. */

import { find, say } from "./dom.js";

const SENT_AS_THEY_ARE = ["image/png", "image/jpeg", "image/webp"];

/** What the form starts from. `changed(picture)` is called with {blob, width, height} or null. */
export class InitPicture {
  constructor(changed) {
    this.changed = changed;
    this.picture = null;
    this.most = Infinity; // pixels that the server takes
    const drop = find("#drop");
    const input = find("#init_img");
    input.addEventListener("change", () => this.take(input.files[0]));
    find("#no-picture").addEventListener("click", () => {
      this.clear();
      input.focus();
    });
    // anywhere on the page: whoever misses the place must not lose the page to the picture
    document.addEventListener("dragover", (event) => {
      event.preventDefault();
      drop.classList.add("over");
    });
    document.addEventListener("dragleave", (event) => {
      if (!event.relatedTarget) drop.classList.remove("over");
    });
    document.addEventListener("drop", (event) => {
      event.preventDefault();
      drop.classList.remove("over");
      this.take([...event.dataTransfer.files].find(isPicture) ?? event.dataTransfer.files[0]);
    });
    document.addEventListener("paste", (event) => {
      const file = [...event.clipboardData.files].find(isPicture);
      if (file) this.take(file);
    });
  }

  /** Start from a file or blob; what is no picture is said, and changes nothing. */
  async take(blob) {
    if (!blob) return;
    let bitmap;
    try {
      bitmap = await createImageBitmap(blob);
    } catch {
      say(find("#refusal"), "This file is no picture that the browser can read.");
      return;
    }
    const { width, height } = bitmap;
    const fits = width * height <= this.most && SENT_AS_THEY_ARE.includes(blob.type);
    this.set({ blob: fits ? blob : await redrawn(bitmap, this.most), width, height });
    bitmap.close();
  }

  clear() {
    find("#init_img").value = "";
    this.set(null);
  }

  set(picture) {
    const shown = find("#init-picture");
    URL.revokeObjectURL(shown.src);
    this.picture = picture;
    if (picture) shown.src = URL.createObjectURL(picture.blob);
    else shown.removeAttribute("src");
    shown.hidden = !picture;
    find("#no-picture").hidden = !picture;
    find("#drop-words").textContent = picture
      ? `${picture.width} × ${picture.height}: drop or choose another`
      : "Start from a picture: drop or choose one";
    this.changed(picture);
  }
}

/** The base64 of a picture, as a request has it. */
export function base64(blob) {
  return new Promise((resolve, reject) => {
    const reader = new FileReader();
    reader.onload = () => resolve(reader.result.slice(reader.result.indexOf(",") + 1));
    reader.onerror = () => reject(reader.error);
    reader.readAsDataURL(blob);
  });
}

/** Width and height nearest to a picture's shape: multiples of 8, at most `side` long. */
export function sizeFor({ width, height }, side) {
  const shrunk = side / Math.max(width, height);
  const fitted = (length) => Math.max(64, Math.round((length * shrunk) / 8) * 8);
  return { W: fitted(width), H: fitted(height) };
}

const isPicture = (file) => file.type.startsWith("image/");

function redrawn(bitmap, most) {
  const shrunk = Math.min(1, Math.sqrt(most / (bitmap.width * bitmap.height)));
  const canvas = document.createElement("canvas");
  canvas.width = Math.floor(bitmap.width * shrunk);
  canvas.height = Math.floor(bitmap.height * shrunk);
  canvas.getContext("2d").drawImage(bitmap, 0, 0, canvas.width, canvas.height);
  return new Promise((resolve) => canvas.toBlob(resolve, "image/png"));
}
