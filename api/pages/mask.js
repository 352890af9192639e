/* A painted mask: steps in pixels of the picture, which can be undone and drawn in any size. */

/** Steps are {stroke, erase}, {invert} and {clear}; a stroke is a list of {x, y, radius}. */
export class Mask {
  constructor(steps = []) {
    this.steps = [...steps];
    this.undone = [];
  }

  add(step) {
    this.steps.push(step);
    this.undone = [];
    return step;
  }

  undo() {
    if (this.steps.length) this.undone.push(this.steps.pop());
  }

  redo() {
    if (this.undone.length) this.steps.push(this.undone.pop());
  }

  /** Draw the mask of a picture of this size on a canvas of any size; the rest is transparent. */
  draw(canvas, picture, colour) {
    const context = contextOf(canvas, picture, colour);
    context.clearRect(0, 0, picture.width, picture.height);
    for (const step of this.steps) {
      if (step.clear) context.clearRect(0, 0, picture.width, picture.height);
      else if (step.invert) invert(context, picture);
      else drawStroke(context, step, 0);
    }
  }

  /** The mask as a PNG in the size of the picture, white where it is painted and black elsewhere. */
  async png(picture) {
    const { width, height } = picture;
    const canvas = Object.assign(document.createElement("canvas"), { width, height });
    this.draw(canvas, picture, "white");
    const context = canvas.getContext("2d");
    context.globalCompositeOperation = "destination-over";
    context.fillStyle = "black";
    context.fillRect(0, 0, width, height);
    return new Promise((resolve) => canvas.toBlob(resolve, "image/png"));
  }
}

/** The canvas' context, in pixels of the picture. */
export function contextOf(canvas, { width, height }, colour) {
  const context = canvas.getContext("2d", { willReadFrequently: true });
  context.setTransform(canvas.width / width, 0, 0, canvas.height / height, 0, 0);
  Object.assign(context, { fillStyle: colour, strokeStyle: colour, lineCap: "round" });
  return context;
}

/** Draw a stroke from its point number `first` on. */
export function drawStroke(context, { stroke, erase }, first) {
  context.globalCompositeOperation = erase ? "destination-out" : "source-over";
  for (let number = first; number < stroke.length; number += 1) {
    const to = stroke[number];
    const from = stroke[number - 1] ?? to;
    context.beginPath();
    context.arc(to.x, to.y, to.radius, 0, 2 * Math.PI); // a line of no length is not drawn
    context.fill();
    context.lineWidth = 2 * to.radius;
    context.beginPath();
    context.moveTo(from.x, from.y);
    context.lineTo(to.x, to.y);
    context.stroke();
  }
  context.globalCompositeOperation = "source-over";
}

/** Draw the transparent part of an image on a canvas of any size; the rest is transparent. */
export function drawTransparency(canvas, image, colour) {
  const { width, height } = canvas;
  const context = contextOf(canvas, { width, height }, colour);
  context.clearRect(0, 0, width, height);
  context.drawImage(image, 0, 0, width, height);
  invert(context, { width, height });
}

function invert(context, { width, height }) {
  context.globalCompositeOperation = "source-out";
  context.fillRect(0, 0, width, height);
  context.globalCompositeOperation = "source-over";
}
