/* The gallery's thumbnails with their prompts. */

import { find, make } from "./dom.js";
import { requestOf, wordsOf } from "./recipe.js";

/** `open(index)` is called for a click on the picture of that index. */
export class Cards {
  constructor(open) {
    this.open = open;
    this.cards = new Map();
  }

  /** Show these pictures, each {status, picture}; existing cards are reused. */
  show(pictures) {
    const cards = pictures.map(({ status, picture }) => {
      const card = this.cards.get(picture.source) ?? this.#card(status, picture);
      this.cards.set(picture.source, card);
      find("time", card).textContent = ago(status.finished);
      return card;
    });
    this.order = pictures.map(({ picture }) => picture.source);
    const list = find("#finished");
    if (cards.length !== list.children.length || cards.some((card, at) => card !== list.children[at])) {
      list.replaceChildren(...cards);
    }
  }

  #card(status, picture) {
    const title = wordsOf(requestOf(status, picture));
    const finished = new Date(status.finished * 1000);
    const { model, upscaler } = status.metadata;
    const about = [model ?? upscaler, picture.seed ?? (picture.number === "grid" ? "grid" : null)]
      .filter((part) => part !== null).join(" · ");
    const button = make("button", { type: "button" },
      make("img", { src: `${picture.source}/thumbnail`, alt: "", loading: "lazy", width: 208, height: 208 }),
      make("span", { className: "words" }, title),
      make("span", { className: "muted" }, `${about} · `,
        make("time", { dateTime: finished.toISOString(), title: finished.toLocaleString() })));
    button.addEventListener("click", () => this.open(this.order.indexOf(picture.source)));
    return make("li", {}, button);
  }
}

const STEPS = [["day", 86400], ["hour", 3600], ["minute", 60]];
const words = new Intl.RelativeTimeFormat("en", { numeric: "auto" });

/** The age of a time, in words. `time` is in seconds since 1970. */
function ago(time) {
  const seconds = Date.now() / 1000 - time;
  const [unit, length] = STEPS.find(([, each]) => seconds >= each) ?? [];
  return unit ? words.format(-Math.floor(seconds / length), unit) : "just now";
}
