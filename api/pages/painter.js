/* Painting a mask on a picture: with mouse, finger or pen, and with the keyboard. */

import { contextOf, drawStroke, drawTransparency, Mask } from "./mask.js";

const SHOWN_SIDE = 1024; // of the canvas on the page; the mask that is sent has the picture's size
const ARROWS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
const LIGHTEST = 0.1; // the pressure of a pen below which its stroke gets no thinner
const ERASERS = 2 | 32; // the right button, and the other end of a pen

/** Paints on a canvas that covers the picture's place. `changed()` is called after each step. */
export class Painter {
  constructor({ canvas, ring, changed }) {
    Object.assign(this, { canvas, ring, changed });
    this.mask = new Mask();
    this.transparent = null;
    this.erase = false;
    this.diameter = 0.15; // of the brush, as a share of the picture's longer side
    this.stroke = null;
    this.pointer = null;
    canvas.addEventListener("pointerdown", (event) => this.#down(event));
    canvas.addEventListener("pointermove", (event) => this.#move(event));
    canvas.addEventListener("pointerup", (event) => this.#up(event));
    canvas.addEventListener("pointercancel", (event) => this.#up(event, { keep: false }));
    canvas.addEventListener("pointerleave", () => { ring.hidden = true; });
    canvas.addEventListener("contextmenu", (event) => event.preventDefault());
    canvas.addEventListener("keydown", (event) => this.#key(event));
    canvas.addEventListener("keyup", (event) => { if (event.key === " ") this.#end(); });
    canvas.addEventListener("blur", () => {
      this.#end();
      ring.hidden = true;
    });
  }

  /** Begin with another picture, {width, height}. */
  open(picture, steps = []) {
    const scale = Math.min(1, SHOWN_SIDE / Math.max(picture.width, picture.height));
    this.canvas.width = Math.ceil(picture.width * scale);
    this.canvas.height = Math.ceil(picture.height * scale);
    this.picture = picture;
    this.stroke = null;
    this.at = { x: picture.width / 2, y: picture.height / 2 };
    this.mask = new Mask(steps);
    this.#redraw();
  }

  /** Show the transparent part of an image in place of what is painted; null: what is painted. */
  cover(image) {
    this.transparent = image;
    this.canvas.classList.toggle("fixed", Boolean(image));
    this.#redraw();
  }

  /** Add {clear} or {invert}. */
  add(step) {
    this.mask.add(step);
    this.#redraw();
  }

  undo() {
    this.mask.undo();
    this.#redraw();
  }

  redo() {
    this.mask.redo();
    this.#redraw();
  }

  /** Whether something is painted. */
  get painted() {
    const { width, height } = this.canvas;
    const { data } = this.canvas.getContext("2d").getImageData(0, 0, width, height);
    return data.some((value, index) => index % 4 === 3 && value > 0);
  }

  #redraw() {
    this.stroke = null;
    const colour = getComputedStyle(this.canvas).color;
    if (this.transparent) drawTransparency(this.canvas, this.transparent, colour);
    else this.mask.draw(this.canvas, this.picture, colour);
    this.changed();
  }

  #down(event) {
    if (this.pointer !== null || this.transparent) return; // of a second finger, or nothing to paint
    event.preventDefault();
    this.canvas.focus({ preventScroll: true });
    this.canvas.setPointerCapture(event.pointerId);
    this.pointer = event.pointerId;
    this.#begin(this.erase || Boolean(event.buttons & ERASERS));
    this.#move(event);
  }

  #move(event) {
    if (this.pointer !== null && event.pointerId !== this.pointer) return;
    const all = this.stroke && event.getCoalescedEvents?.(); // on secure origins only
    for (const each of all?.length ? all : [event]) {
      this.at = this.#inPicture(each);
      this.#paint(event.pointerType === "pen" ? Math.max(LIGHTEST, each.pressure) : 1);
    }
    this.#showRing();
  }

  #up(event, { keep = true } = {}) {
    if (event.pointerId !== this.pointer) return;
    this.pointer = null;
    if (keep) this.#end();
    else this.undo();
  }

  #key(event) {
    const direction = ARROWS[event.key];
    if (direction) {
      const far = event.shiftKey ? 1 : Math.max(1, this.#radius / 2);
      for (const [number, axis] of ["x", "y"].entries()) {
        const last = axis === "x" ? this.picture.width : this.picture.height;
        this.at[axis] = Math.min(last, Math.max(0, this.at[axis] + far * direction[number]));
      }
    } else if (event.key === " ") {
      if (!event.repeat && !this.transparent) this.#begin(this.erase);
    } else {
      return;
    }
    event.preventDefault();
    this.#paint(1);
    this.#showRing();
  }

  #begin(erase) {
    this.#end();
    this.stroke = this.mask.add({ stroke: [], erase });
  }

  #paint(pressure) {
    if (!this.stroke) return;
    const points = this.stroke.stroke;
    points.push({ ...this.at, radius: this.#radius * pressure });
    const colour = getComputedStyle(this.canvas).color;
    drawStroke(contextOf(this.canvas, this.picture, colour), this.stroke, points.length - 1);
  }

  #end() {
    if (!this.stroke) return;
    this.stroke = null;
    this.changed();
  }

  get #radius() {
    return (this.diameter * Math.max(this.picture.width, this.picture.height)) / 2;
  }

  /** How large the picture is shown (it covers the canvas' place), and where its middle is. */
  get #shown() {
    const { left, top, width, height } = this.canvas.getBoundingClientRect();
    const scale = Math.max(width / this.picture.width, height / this.picture.height);
    return { scale, x: left + width / 2, y: top + height / 2, width, height };
  }

  #inPicture(event) {
    const { scale, x, y } = this.#shown;
    return {
      x: (event.clientX - x) / scale + this.picture.width / 2,
      y: (event.clientY - y) / scale + this.picture.height / 2,
    };
  }

  /** Show how large the brush is and where. */
  #showRing() {
    const { scale, width, height } = this.#shown;
    this.ring.hidden = false;
    this.ring.style.width = `${2 * this.#radius * scale}px`;
    this.ring.style.left = `${width / 2 + (this.at.x - this.picture.width / 2) * scale}px`;
    this.ring.style.top = `${height / 2 + (this.at.y - this.picture.height / 2) * scale}px`;
  }

  /** Set the diameter of the brush, and show it. */
  resize(diameter) {
    this.diameter = diameter;
    if (!this.ring.hidden) this.#showRing();
  }
}
