import { interpolate, samples } from "./sampling.js";

const PANEL_AREA = 27_000;  // pixels
const PROPORTIONS = [0.45, 2.6];  // width / height between which a picture's own are kept

/**
 * @typedef {object} Panel A prototype as yolact-explain shows it: from its own minimum, dark, to its own maximum, bright.
 * @property {ImageData} pixels
 * @property {number} largest
 * @property {boolean} isFlat
 */

/**
 * @param {import("./detections.js").Tensor} prototypes (1, K, cells, cells)
 * @param {number} width of the picture, whose proportions the panels get
 * @param {number} height
 * @param {import("./draw.js").Color[]} scale 256 colours from dark to bright
 * @returns {{panels: Panel[], columns: number}}
 */
export function prototypePanels(prototypes, width, height, scale) {
  const [, count, cells] = prototypes.dims, size = cells * cells;
  const proportions = Math.min(Math.max(width / height, PROPORTIONS[0]), PROPORTIONS[1]);
  const across = Math.round(Math.sqrt(PANEL_AREA * proportions)), down = Math.round(Math.sqrt(PANEL_AREA / proportions));
  const rows = samples(0, down, cells, down), columns = samples(0, across, cells, across);
  const colors = new Uint32Array(scale.map((color) => new Uint32Array(Uint8Array.of(...color, 255).buffer)[0]));
  const panels = [];
  for (let index = 0; index < count; index++) {
    const grid = prototypes.data.subarray(index * size, (index + 1) * size), values = new Float32Array(across * down);
    interpolate(grid, cells, rows, columns, (row, line) => values.set(line, row * across));
    panels.push(spread(values, across, down, colors));
  }
  return { panels, columns: columnsOf(count, proportions) };
}

/**
 * @param {Float32Array} values
 * @param {number} across
 * @param {number} down
 * @param {Uint32Array} colors
 * @returns {Panel}
 */
function spread(values, across, down, colors) {
  let low = Infinity, high = -Infinity;
  for (const value of values) {
    low = Math.min(low, value);
    high = Math.max(high, value);
  }
  const pixels = new ImageData(across, down), words = new Uint32Array(pixels.data.buffer), range = high - low || 1;
  for (let i = 0; i < values.length; i++) words[i] = colors[Math.round((255 * (values[i] - low)) / range)];
  return { pixels, largest: high, isFlat: high === low };
}

/**
 * Number of columns of a grid that is about twice as wide as high and leaves few places empty.
 * @param {number} count
 * @param {number} proportions
 */
function columnsOf(count, proportions) {
  let best = 1, least = Infinity;
  for (let columns = 1; columns <= count; columns++) {
    const rows = Math.ceil(count / columns);
    const flaw = Math.abs(Math.log(((columns / rows) * proportions) / 2)) + 6 * (1 - count / (rows * columns));
    if (flaw < least) [best, least] = [columns, flaw];
  }
  return best;
}
