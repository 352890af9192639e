/* One picture of the gallery in full size, with its parameters. */

import { curlBlock, curlCommand } from "./curl.js";
import { find, make } from "./dom.js";
import { kindOf, recipeList, requestOf, wordsOf } from "./recipe.js";

/** The dialog. The address names the picture that it shows. */
export class PictureDialog {
  constructor() {
    this.dialog = find("#large");
    this.pictures = [];
    this.shown = null;
    find("#previous").addEventListener("click", () => this.#turn(-1));
    find("#next").addEventListener("click", () => this.#turn(1));
    find("#close").addEventListener("click", () => this.dialog.close());
    this.dialog.addEventListener("click", (event) => {
      if (event.target === this.dialog) this.dialog.close(); // a click on the backdrop
    });
    this.dialog.addEventListener("close", () => {
      this.shown = null;
      history.replaceState(null, "", location.pathname);
    });
    this.dialog.addEventListener("keydown", (event) => {
      if (event.key === "ArrowLeft") this.#turn(-1);
      if (event.key === "ArrowRight") this.#turn(1);
    });
  }

  /** Set the pictures to page through, each {status, picture}. */
  setPictures(pictures) {
    this.pictures = pictures;
  }

  setDefaults(defaults) {
    this.defaults = defaults;
  }

  open(index) {
    const { status, picture } = this.pictures[index];
    this.shown = picture.source;
    const request = requestOf(status, picture);
    const large = find("#large-picture");
    large.src = picture.source;
    large.alt = wordsOf(request);
    find("#large-facts").replaceChildren(...this.#facts(status, picture, request));
    find("#previous").disabled = index === 0;
    find("#next").disabled = index === this.pictures.length - 1;
    history.replaceState(null, "", `#${status.task_id}/${picture.number}`);
    if (!this.dialog.open) this.dialog.showModal();
  }

  /** Open the picture that the address names, if it is in the gallery. */
  openFromAddress() {
    const named = `/images/${location.hash.slice(1)}`;
    const index = this.#indexOf(named);
    if (index >= 0) this.open(index);
  }

  #turn(by) {
    const index = this.#indexOf(this.shown) + by;
    if (index >= 0 && index < this.pictures.length) this.open(index);
  }

  #indexOf(source) {
    return this.pictures.findIndex(({ picture }) => picture.source === source);
  }

  #facts(status, picture, request) {
    const part = `${status.task_id}/${picture.number}`;
    const finished = new Date(status.finished * 1000);
    return [
      make("div", { className: "actions" },
        ...(kindOf(request) === "upscale" ? [] :
          [make("a", { className: "button", href: `/#recipe=${part}` }, "Use this recipe")]),
        make("a", { className: "button", href: `/#picture=${part}` }, "Edit this picture"),
        make("a", { className: "button", href: picture.source, download: "" }, "Download")),
      recipeList(status, picture),
      make("p", { className: "hint" }, `Finished ${finished.toLocaleString()}`),
      curlBlock(curlCommand(status, picture, this.defaults, location.origin)),
    ];
  }
}
