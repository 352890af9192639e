/* The border that is added around a picture: by dragging its edges, by keys, or as numbers. */

import { find } from "./dom.js";

const STEP = 8;
const LARGE_STEP = 64;
/** For each side: the opposite one, the key that moves its edge outwards, and the axis. */
const SIDES = {
  left: { opposite: "right", outwards: "ArrowLeft", inwards: "ArrowRight", axis: "x", sign: -1 },
  right: { opposite: "left", outwards: "ArrowRight", inwards: "ArrowLeft", axis: "x", sign: 1 },
  top: { opposite: "bottom", outwards: "ArrowUp", inwards: "ArrowDown", axis: "y", sign: -1 },
  bottom: { opposite: "top", outwards: "ArrowDown", inwards: "ArrowUp", axis: "y", sign: 1 },
};

/** The four edges. `size()` returns {W, H, largest} of the picture, `scale()` how many pixels of the
    page one of its pixels takes; `changed()` is called after each change. */
export class Extend {
  constructor({ size, scale, changed }) {
    Object.assign(this, { size, scale, changed });
    for (const side of Object.keys(SIDES)) {
      this.#input(side).addEventListener("input", () => changed());
      this.#listen(side, this.#handle(side));
    }
  }

  /** Pixels on each side, as shown: none where the input has no number. */
  get sides() {
    return Object.fromEntries(Object.keys(SIDES).map((side) =>
      [side, Math.max(0, this.#input(side).valueAsNumber || 0)]));
  }

  set sides(sides) {
    for (const side of Object.keys(SIDES)) this.#input(side).value = sides?.[side] ?? 0;
    this.changed();
  }

  /** The parameter `extend`; null: nothing is added. */
  get parameter() {
    const added = Object.entries(this.sides).filter(([, pixels]) => pixels > 0);
    return added.length ? Object.fromEntries(added) : null;
  }

  /** Show the numbers at the handles. */
  show() {
    for (const [side, pixels] of Object.entries(this.sides)) {
      const handle = this.#handle(side);
      handle.setAttribute("aria-valuenow", pixels);
      handle.setAttribute("aria-valuemax", this.#most(side));
      handle.setAttribute("aria-valuetext", `${pixels} pixels`);
      handle.dataset.added = pixels ? `+${pixels}` : "";
      this.#input(side).max = this.#most(side);
    }
  }

  #set(side, pixels) {
    const steps = Math.round(pixels / STEP) * STEP;
    this.#input(side).value = Math.min(this.#most(side), Math.max(0, steps));
    this.changed();
  }

  #most(side) {
    const { W, H, largest } = this.size();
    const { opposite, axis } = SIDES[side];
    const room = largest - (axis === "x" ? W : H) - this.sides[opposite];
    return Math.max(0, Math.floor(room / STEP) * STEP);
  }

  #listen(side, handle) {
    const { outwards, inwards, axis, sign } = SIDES[side];
    const where = (event) => (axis === "x" ? event.clientX : event.clientY);
    let start = null;
    handle.addEventListener("pointerdown", (event) => {
      if (start || event.button) return;
      event.preventDefault();
      handle.focus({ preventScroll: true });
      handle.setPointerCapture(event.pointerId);
      start = { id: event.pointerId, at: where(event), pixels: this.sides[side], scale: this.scale() };
    });
    handle.addEventListener("pointermove", (event) => {
      if (start?.id !== event.pointerId) return;
      this.#set(side, start.pixels + (sign * (where(event) - start.at)) / start.scale);
    });
    const end = (event) => { if (start?.id === event.pointerId) start = null; };
    handle.addEventListener("pointerup", end);
    handle.addEventListener("pointercancel", end);
    handle.addEventListener("keydown", (event) => {
      const by = {
        [outwards]: STEP, [inwards]: -STEP, PageUp: LARGE_STEP, PageDown: -LARGE_STEP,
        Home: -Infinity, End: Infinity,
      }[event.key];
      if (by === undefined) return;
      event.preventDefault();
      this.#set(side, this.sides[side] + by);
    });
  }

  #handle(side) {
    return find(`#board [data-side=${side}]`);
  }

  #input(side) {
    return find(`#extend-${side}`);
  }
}
