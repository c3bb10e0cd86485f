/**
 * @typedef {{low: Int32Array, high: Int32Array, weight: Float32Array}} Samples
 * The two cells that each pixel lies between, and the weight of the second.
 */

/**
 * Where pixels [start, stop) of an axis of `pixels` sample an axis of `cells`, with half-pixel centres.
 * @param {number} start
 * @param {number} stop
 * @param {number} cells
 * @param {number} pixels
 * @returns {Samples}
 */
export function samples(start, stop, cells, pixels) {
  const count = Math.max(0, stop - start), scale = cells / pixels;
  const low = new Int32Array(count), high = new Int32Array(count), weight = new Float32Array(count);
  for (let i = 0; i < count; i++) {
    const position = Math.min(Math.max((start + i + 0.5) * scale - 0.5, 0), cells - 1);
    low[i] = Math.trunc(position);
    high[i] = Math.min(low[i] + 1, cells - 1);
    weight[i] = position - low[i];
  }
  return { low, high, weight };
}

/**
 * Bilinear values of a square grid.
 * @param {Float32Array} grid (cells, cells)
 * @param {number} cells
 * @param {Samples} rows
 * @param {Samples} columns
 * @param {(row: number, values: Float32Array) => void} take gets each row of values; the array is used again
 */
export function interpolate(grid, cells, rows, columns, take) {
  const width = columns.low.length, wide = new Map(), values = new Float32Array(width);
  const widened = (/** @type {number} */ cell) => {
    const known = wide.get(cell);
    if (known) return known;
    const made = new Float32Array(width);
    for (let x = 0; x < width; x++) {
      const right = columns.weight[x];
      made[x] = grid[cell * cells + columns.low[x]] * (1 - right) + grid[cell * cells + columns.high[x]] * right;
    }
    wide.set(cell, made);
    return made;
  };
  for (let y = 0; y < rows.low.length; y++) {
    const upper = widened(rows.low[y]), lower = widened(rows.high[y]), weight = rows.weight[y];
    for (let x = 0; x < width; x++) values[x] = upper[x] * (1 - weight) + lower[x] * weight;
    take(y, values);
  }
}
