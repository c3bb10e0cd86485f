/**
 * Which pixels of a mask lie within `reach` of its edge, in a square sense; the border of its region is an edge.
 * @param {import("./masks.js").Mask} mask
 * @param {number} reach pixels
 * @returns {Uint8Array} (height, width), 1 for the outline
 */
export function outline({ bits, width, height }, reach) {
  const core = eroded(eroded(bits, width, height, 1, width, reach), height, width, width, 1, reach);
  return core.map((inside, at) => bits[at] & (inside ^ 1));
}

/**
 * Keep the pixels that have `reach` set ones on both sides along one axis.
 * @param {Uint8Array} bits
 * @param {number} length of a line
 * @param {number} lines
 * @param {number} step between two pixels of a line
 * @param {number} stride between two lines
 * @param {number} reach
 */
function eroded(bits, length, lines, step, stride, reach) {
  const result = new Uint8Array(bits.length);
  for (let line = 0; line < lines; line++) {
    let run = 0;
    for (let i = 0, at = line * stride; i < length; i++, at += step) {
      run = bits[at] ? run + 1 : 0;
      if (run > 2 * reach) result[at - reach * step] = 1;
    }
  }
  return result;
}
