const BITS = 11, ONE = 1 << BITS;

/**
 * Stretch a picture to the network's square input, bilinear without antialiasing, to the very bytes of OpenCV's
 * `INTER_LINEAR`: weights have 11 bits, columns are blended first, and each row's product is cut on its own.
 * @param {Uint8ClampedArray} rgba (height, width, 4)
 * @param {number} width
 * @param {number} height
 * @param {number} side of the input
 * @returns {Uint8Array} (side, side, 3) BGR
 */
export function stretch(rgba, width, height, side) {
  const columns = axis(width, side), rows = axis(height, side), result = new Uint8Array(side * side * 3);
  const cache = new Map();  // blended rows of the picture; no more than two are needed at a time
  const blended = (/** @type {number} */ row) => {
    const known = cache.get(row);
    if (known) return known;
    const made = blendColumns(rgba, row * width * 4, columns, side);
    for (const old of cache.keys()) if (old < row - 1) cache.delete(old);
    cache.set(row, made);
    return made;
  };
  for (let y = 0, at = 0; y < side; y++) {
    const upper = blended(rows.low[y]), lower = blended(rows.high[y]);
    const weight = rows.weight[y], rest = ONE - weight;
    for (let x = 0; x < side * 3; x++, at++) {
      result[at] = (((rest * (upper[x] >> 4)) >> 16) + ((weight * (lower[x] >> 4)) >> 16) + 2) >> 2;
    }
  }
  return result;
}

/**
 * Along one axis: the two pixels that each output lies between, and the weight of the second. Beyond its edges a picture
 * repeats its last pixels.
 * @param {number} pixels
 * @param {number} side
 */
function axis(pixels, side) {
  const low = new Int32Array(side), high = new Int32Array(side), weight = new Int32Array(side), scale = pixels / side;
  for (let i = 0; i < side; i++) {
    const position = Math.fround((i + 0.5) * scale - 0.5), floor = Math.floor(position);
    low[i] = Math.min(Math.max(floor, 0), pixels - 1);
    high[i] = Math.min(floor + 1, pixels - 1);
    weight[i] = halfToEven(Math.fround(position - floor) * ONE);
  }
  return { low, high, weight };
}

/** @param {number} value not negative */
function halfToEven(value) {
  const floor = Math.floor(value), rest = value - floor;
  return rest > 0.5 || (rest === 0.5 && floor % 2) ? floor + 1 : floor;
}

/**
 * One row of the picture at the output's columns, (side, 3) BGR in 11 bits more than bytes.
 * @param {Uint8ClampedArray} rgba
 * @param {number} start of the row
 * @param {ReturnType<typeof axis>} columns
 * @param {number} side
 */
function blendColumns(rgba, start, columns, side) {
  const row = new Int32Array(side * 3);
  for (let x = 0; x < side; x++) {
    const weight = columns.weight[x], rest = ONE - weight;
    const left = start + columns.low[x] * 4, right = start + columns.high[x] * 4;
    for (let channel = 0; channel < 3; channel++) {
      row[x * 3 + channel] = rgba[left + 2 - channel] * rest + rgba[right + 2 - channel] * weight;
    }
  }
  return row;
}
