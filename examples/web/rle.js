/**
 * A mask as COCO's compressed run lengths, down the columns, as `encode_rle` in runtime/images/mask_encoding.py.
 * @param {import("./masks.js").Mask} mask
 * @param {number} width of the picture
 * @param {number} height of the picture
 * @returns {{size: [number, number], counts: string}}
 */
export function encodeRle(mask, width, height) {
  return { size: [height, width], counts: compress(runs(mask, width, height)) };
}

/**
 * Lengths of zeros and ones in turn, zeros first.
 * @param {import("./masks.js").Mask} mask
 * @param {number} width
 * @param {number} height
 */
function runs(mask, width, height) {
  const lengths = [];
  let value = 0, since = 0;
  const change = (/** @type {number} */ to, /** @type {number} */ at) => {
    if (to === value) return;
    lengths.push(at - since);
    [value, since] = [to, at];
  };
  for (let x = 0; x < mask.width; x++) {
    const first = (mask.left + x) * height + mask.top;
    for (let y = 0; y < mask.height; y++) change(mask.bits[y * mask.width + x], first + y);
    if (mask.height < height) change(0, first + mask.height);
  }
  if (width * height > since || !lengths.length) lengths.push(width * height - since);
  return lengths;
}

/**
 * COCO's text: each length past the second as its difference to the one two before, 5 bits a character.
 * @param {number[]} lengths
 */
function compress(lengths) {
  let text = "";
  lengths.forEach((length, index) => {
    let value = index > 2 ? length - lengths[index - 2] : length, more = true;
    while (more) {
      const bits = value & 31;
      value >>= 5;
      more = value !== (bits & 16 ? -1 : 0);
      text += String.fromCharCode(48 + (more ? bits | 32 : bits));
    }
  });
  return text;
}
