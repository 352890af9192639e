/* The editor of the init image: the mask that is painted on it, and the border around it. */

import { find } from "./dom.js";
import { Extend } from "./extend.js";
import { Painter } from "./painter.js";
import { numberIn } from "./request.js";

const OPTIONS = ["mask_blur", "mask_fill", "mask_area", "mask_padding"];
const LARGEST = 2048; // side, if that of the model is not known
const BRUSH_FACTOR = 1.25; // of the keys [ and ]

/** The section #editor. It is shown with a picture that the browser can show. */
export class Editor {
  constructor(form) {
    this.form = form;
    this.section = find("#editor");
    this.picture = null;
    this.painter = new Painter({
      canvas: find("#paint"),
      ring: find("#ring"),
      changed: () => this.#changed(),
    });
    this.extend = new Extend({
      size: () => this.#size(),
      scale: () => find("#part").getBoundingClientRect().width / this.#size().W,
      changed: () => this.layout(),
    });
    this.#listen();
  }

  get open() {
    return this.picture !== null;
  }

  /** Show a picture of the form, {width, height}, and nothing painted; null hides the editor. */
  show(picture, source) {
    this.picture = picture?.width ? picture : null;
    this.section.hidden = !this.picture;
    find("#from-alpha").hidden = !this.picture?.transparent;
    this.form.mask_from_alpha.checked = false;
    if (this.picture) {
      find("#edited").src = source;
      this.painter.transparent = null;
      this.strokes = [];
    } else {
      find("#edited").removeAttribute("src");
      this.extend.sides = {};
    }
  }

  /** What is painted, to be painted again on the same picture. */
  get strokes() {
    return this.painter.mask.steps;
  }

  set strokes(steps) {
    this.painter.open(this.picture, steps);
    this.layout();
  }

  /** Take the border of a request, and the options of its mask; without either, the defaults. */
  fill(request, { masked = false } = {}) {
    const options = masked || request.extend ? request : {};
    for (const name of OPTIONS) {
      const input = this.form[name];
      input.value = options[name] ?? (input.options ? input.options[0].value : input.defaultValue);
    }
    this.form.mask_invert.checked = Boolean(options.mask_invert);
    this.form.mask_from_alpha.checked = Boolean(options.mask_from_alpha && this.picture?.transparent);
    this.#cover();
    this.extend.sides = request.extend;
  }

  /** The parameters of the mask and of the border; none if there is nothing of either. */
  get parameters() {
    const extend = this.open && this.extend.parameter;
    if (!extend && !this.masked) return {};
    const [mask_blur, mask_padding] =
      [this.form.mask_blur, this.form.mask_padding].map((input) => numberIn(input) ?? undefined);
    const mask_area = this.form.mask_area.value;
    return {
      ...(this.#fromAlpha ? { mask_from_alpha: true } : {}),
      ...(this.masked && this.form.mask_invert.checked ? { mask_invert: true } : {}),
      mask_blur,
      mask_fill: this.form.mask_fill.value,
      mask_area,
      ...(mask_area === "masked" ? { mask_padding } : {}),
      ...(extend ? { extend } : {}),
    };
  }

  /** The painted mask as a PNG in white; null if nothing is painted, or its transparency counts. */
  async mask() {
    return this.masked && !this.#fromAlpha ? this.painter.mask.png(this.picture) : null;
  }

  /** Whether something is painted, or the transparent part is the mask. */
  get masked() {
    return this.open && this.painter.painted;
  }

  /** Show the picture as the request's width and height crop it, with the border around it. */
  layout() {
    const { W, H } = this.#size();
    const { left, right, top, bottom } = this.extend.sides;
    const [width, height] = [left + W + right, top + H + bottom];
    find("#board").style.setProperty("--ratio", width / height);
    Object.assign(find("#part").style, {
      left: `${(100 * left) / width}%`, width: `${(100 * W) / width}%`,
      top: `${(100 * top) / height}%`, height: `${(100 * H) / height}%`,
    });
    find("#becomes").textContent = `${width} × ${height}`;
    this.extend.show();
    this.#changed();
  }

  get #fromAlpha() {
    return this.open && this.form.mask_from_alpha.checked;
  }

  /** Show what the mask is: the transparent part of the picture, once it is loaded, or what is painted. */
  #cover() {
    const image = find("#edited");
    if (!this.open || (this.#fromAlpha && !image.complete)) return;
    this.painter.cover(this.#fromAlpha ? image : null);
  }

  #size() {
    const side = (name, own) => this.form[name].valueAsNumber || this.picture?.[own] || 1;
    const [W, H] = [side("W", "width"), side("H", "height")];
    return { W, H, largest: Number(this.form.W.max) || LARGEST };
  }

  #changed() {
    const { steps, undone } = this.painter.mask;
    const masked = this.masked;
    const fixed = this.#fromAlpha;
    find("#undo").disabled = fixed || !steps.length;
    find("#redo").disabled = fixed || !undone.length;
    find("#clear").disabled = fixed || !masked;
    for (const id of ["brush", "erase", "invert"]) find(`#${id}`).disabled = fixed;
    find("#not-masked").hidden = !masked;
    find("#invert-words").textContent = `Draw anew what is not ${fixed ? "transparent" : "painted"}`;
    find("#mask-options").hidden = !masked && !this.extend.parameter;
    find("#padding").hidden = this.form.mask_area.value !== "masked";
  }

  #listen() {
    const { painter } = this;
    const act = {
      undo: () => painter.undo(),
      redo: () => painter.redo(),
      invert: () => painter.add({ invert: true }),
      clear: () => painter.add({ clear: true }),
      erase: () => {
        painter.erase = !painter.erase;
        find("#erase").setAttribute("aria-pressed", painter.erase);
      },
    };
    for (const [id, does] of Object.entries(act)) find(`#${id}`).addEventListener("click", does);
    const brush = find("#brush");
    const resize = () => painter.resize(brush.valueAsNumber / 100);
    brush.addEventListener("input", resize);
    resize();
    find("#mask_area").addEventListener("input", () => this.#changed());
    find("#mask_from_alpha").addEventListener("change", () => this.#cover());
    // anything else is painted already, and drawing it anew would end a stroke
    find("#edited").addEventListener("load", () => { if (this.#fromAlpha) this.#cover(); });
    const scale = (factor) => {
      const wanted = brush.valueAsNumber * factor;
      brush.value = factor > 1 ? Math.ceil(wanted) : Math.floor(wanted);
      resize();
    };
    document.addEventListener("keydown", (event) => {
      if (!this.open || event.target.matches("textarea, select, input:not([type=range])")) return;
      const key = event.key.toLowerCase();
      const control = event.ctrlKey || event.metaKey;
      const does = control
        ? { z: event.shiftKey ? act.redo : act.undo, y: act.redo }[key]
        : { e: act.erase, "[": () => scale(1 / BRUSH_FACTOR), "]": () => scale(BRUSH_FACTOR) }[key];
      if (!does || this.#fromAlpha) return;
      event.preventDefault();
      does();
    });
  }
}
