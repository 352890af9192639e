/* The init image of img2img: dropped, pasted, chosen, or generated before. */

import { find, setText } from "./dom.js";

/** The types that few browsers can show. */
const UNSHOWN = ["image/heic", "image/tiff"];

/** The form's init image. `changed(picture, source)` is called with {blob, width, height,
    transparent} and the address to show it, or with null; a picture that only the server can read
    has no width, height and address. */
export class InitPicture {
  constructor(changed) {
    this.changed = changed;
    this.picture = null;
    this.given = 0; // how often the picture was given or taken away
    this.maxPixels = Infinity; // the server's limit, and the types that it reads
    this.types = [];
    const drop = find("#drop");
    const input = find("#init_img");
    input.addEventListener("change", () => this.take(input.files[0]));
    find("#no-picture").addEventListener("click", () => {
      this.clear();
      input.focus();
    });
    // On the whole page: a picture dropped beside the field would replace the page.
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

  /** Use a file or blob, unless another picture or none is given while it is read; shows a message
      if it is not a picture. */
  async take(blob) {
    if (!blob) return;
    this.given += 1;
    const { given } = this;
    let bitmap;
    try {
      bitmap = await createImageBitmap(blob);
    } catch {
      if (given !== this.given) return;
      if (UNSHOWN.includes(blob.type) && this.types.includes(blob.type)) {
        this.set({ blob });
        return;
      }
      setText(find("#refusal"), "The browser cannot read this file as a picture.");
      return;
    }
    const { width, height } = bitmap;
    const fits = width * height <= this.maxPixels && this.types.includes(blob.type);
    const shown = fits ? { blob, width, height } : await resized(bitmap, this.maxPixels);
    const transparent = blob.type !== "image/jpeg" && isTransparent(bitmap);
    if (given === this.given) this.set({ ...shown, transparent });
    bitmap.close();
  }

  clear() {
    find("#init_img").value = "";
    this.set(null);
  }

  set(picture) {
    this.given += 1;
    const shown = find("#init-picture");
    URL.revokeObjectURL(shown.src);
    this.picture = picture;
    if (picture?.width) shown.src = URL.createObjectURL(picture.blob);
    else shown.removeAttribute("src");
    shown.hidden = !picture?.width;
    find("#no-picture").hidden = !picture;
    find("#drop-words").textContent = picture
      ? `${pictureSize(picture)}: drop or choose another`
      : "Start from a picture: drop or choose one";
    this.changed(picture, shown.getAttribute("src"));
  }
}

/** A picture as base64 without the data: prefix. */
export function base64(blob) {
  return new Promise((resolve, reject) => {
    const reader = new FileReader();
    reader.onload = () => resolve(reader.result.slice(reader.result.indexOf(",") + 1));
    reader.onerror = () => reject(reader.error);
    reader.readAsDataURL(blob);
  });
}

/** The size with a picture's aspect ratio: multiples of 8, the longer side `side`. */
export function fittedSize({ width, height }, side) {
  const scale = side / Math.max(width, height);
  const fitted = (length) => Math.max(64, Math.round((length * scale) / 8) * 8);
  return { W: fitted(width), H: fitted(height) };
}

/** The size of a picture, if it can be generated within the side `most`; else the fitted one. */
export function ownSize({ width, height }, most) {
  const sides = [width, height];
  const asItIs = sides.every((side) => side % 8 === 0 && side >= 64 && side <= most);
  return asItIs ? { W: width, H: height } : fittedSize({ width, height }, Math.min(most, Math.max(...sides)));
}

const pictureSize = ({ blob, width, height }) =>
  width ? `${width} × ${height}` : (blob.name ?? blob.type);

const isPicture = (file) => file.type.startsWith("image/");

/** Whether some of a picture is not opaque. */
function isTransparent(bitmap) {
  const scale = Math.min(1, 1024 / Math.max(bitmap.width, bitmap.height));
  const canvas = document.createElement("canvas");
  canvas.width = Math.ceil(bitmap.width * scale);
  canvas.height = Math.ceil(bitmap.height * scale);
  const context = canvas.getContext("2d", { willReadFrequently: true });
  context.imageSmoothingQuality = "high";
  context.drawImage(bitmap, 0, 0, canvas.width, canvas.height);
  const { data } = context.getImageData(0, 0, canvas.width, canvas.height);
  return data.some((value, index) => index % 4 === 3 && value < 255);
}

async function resized(bitmap, maxPixels) {
  const scale = Math.min(1, Math.sqrt(maxPixels / (bitmap.width * bitmap.height)));
  const canvas = document.createElement("canvas");
  canvas.width = Math.floor(bitmap.width * scale);
  canvas.height = Math.floor(bitmap.height * scale);
  canvas.getContext("2d").drawImage(bitmap, 0, 0, canvas.width, canvas.height);
  const blob = await new Promise((resolve) => canvas.toBlob(resolve, "image/png"));
  return { blob, width: canvas.width, height: canvas.height };
}
