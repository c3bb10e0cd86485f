import { interpolate, samples } from "./sampling.js";

const THRESHOLD = 0.5;

/**
 * @typedef {object} Mask A binary mask inside a region of a picture.
 * @property {number} top
 * @property {number} left
 * @property {number} width
 * @property {number} height
 * @property {Uint8Array} bits (height, width), 0 or 1
 */

/**
 * The mask of an instance at the picture's resolution, where it can be set: bilinear from the prototypes' grid straight
 * to the picture, then above 0.5, as `ImageTransform.upsample_mask` in runtime/images/geometry.py.
 * @param {Float32Array} probabilities (cells, cells), 0 outside the instance's box
 * @param {number} cells
 * @param {number} width of the picture
 * @param {number} height of the picture
 * @returns {Mask}
 */
export function upsample(probabilities, cells, width, height) {
  const reach = { top: cells, bottom: -1, left: cells, right: -1 };
  for (let i = 0; i < cells * cells; i++) {
    if (!(probabilities[i] > THRESHOLD)) continue;
    const row = Math.trunc(i / cells), column = i % cells;
    reach.top = Math.min(reach.top, row);
    reach.bottom = row;
    reach.left = Math.min(reach.left, column);
    reach.right = Math.max(reach.right, column);
  }
  if (reach.bottom < 0) return { top: 0, left: 0, width: 0, height: 0, bits: new Uint8Array(0) };
  const [top, bottom] = pixelsReached(reach.top, reach.bottom, cells, height);
  const [left, right] = pixelsReached(reach.left, reach.right, cells, width);
  const shape = { width: right - left, height: bottom - top }, bits = new Uint8Array(shape.width * shape.height);
  const rows = samples(top, bottom, cells, height), columns = samples(left, right, cells, width);
  interpolate(probabilities, cells, rows, columns, (row, values) => {
    for (let x = 0, at = row * shape.width; x < shape.width; x++) bits[at + x] = values[x] > THRESHOLD ? 1 : 0;
  });
  return { top, left, ...shape, bits };
}

/**
 * The pixels [start, stop) that cells [first, last] can influence.
 * @param {number} first
 * @param {number} last
 * @param {number} cells
 * @param {number} pixels
 * @returns {[number, number]}
 */
function pixelsReached(first, last, cells, pixels) {
  const scale = cells / pixels;
  const start = Math.max(0, Math.floor((first - 0.5) / scale - 0.5));
  const stop = Math.min(pixels, Math.ceil((last + 1.5) / scale - 0.5));
  return [start, Math.max(start, stop)];
}
