// Paints a picture as EXIF's orientation says.

import { toRGBA } from "./index.js";

// From stored to upright pixels, by orientation: the matrix of `setTransform`, where w and h stand for the stored size.
const MATRICES = {
  2: (w) => [-1, 0, 0, 1, w, 0],
  3: (w, h) => [-1, 0, 0, -1, w, h],
  4: (w, h) => [1, 0, 0, -1, 0, h],
  5: () => [0, 1, 1, 0, 0, 0],
  6: (w, h) => [0, 1, -1, 0, h, 0],
  7: (w, h) => [0, -1, -1, 0, h, w],
  8: (w) => [0, -1, 1, 0, 0, w],
};

/** Returns the canvas, which gets the size of the picture. */
export function paint(canvas, picture) {
  const { width, height, orientation } = picture;
  const image = new ImageData(toRGBA(picture), width, height);
  const context = canvas.getContext("2d");
  const matrix = MATRICES[orientation]?.(width, height);
  [canvas.width, canvas.height] = orientation > 4 ? [height, width] : [width, height];
  if (!matrix) return context.putImageData(image, 0, 0), canvas;
  const stored = new OffscreenCanvas(width, height);
  stored.getContext("2d").putImageData(image, 0, 0);
  context.setTransform(...matrix);
  context.drawImage(stored, 0, 0);
  return canvas;
}
