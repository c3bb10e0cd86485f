/** @typedef {{width: number, height: number}} Size */

/**
 * The size that the first bytes of a picture announce, before it takes the memory of its pixels.
 * @param {Uint8Array} data the beginning of a file
 * @returns {Size | null} null where the format is another than PNG, JPEG, WebP, GIF or BMP, or the bytes do not reach
 */
export function announcedSize(data) {
  const view = new DataView(data.buffer, data.byteOffset, data.byteLength);
  const starts = (/** @type {string} */ text, at = 0) => [...text].every((letter, i) => data[at + i] === letter.charCodeAt(0));
  try {
    if (starts("\x89PNG")) return { width: view.getUint32(16), height: view.getUint32(20) };
    if (starts("GIF8")) return { width: view.getUint16(6, true), height: view.getUint16(8, true) };
    if (starts("BM") && view.getUint32(14, true) === 12) {  // OS/2's header
      return { width: view.getUint16(18, true), height: view.getUint16(20, true) };
    }
    if (starts("BM")) return { width: view.getInt32(18, true), height: Math.abs(view.getInt32(22, true)) };
    if (starts("RIFF") && starts("WEBP", 8)) return webp(view, starts);
    if (starts("\xff\xd8")) return jpeg(view);
  } catch (error) {
    if (!(error instanceof RangeError)) throw error;
  }
  return null;
}

/**
 * @param {DataView} view
 * @param {(text: string, at: number) => boolean} starts
 * @returns {Size | null}
 */
function webp(view, starts) {
  if (starts("VP8X", 12)) {
    const side = (/** @type {number} */ at) => 1 + (view.getUint16(at, true) | (view.getUint8(at + 2) << 16));
    return { width: side(24), height: side(27) };
  }
  if (starts("VP8L", 12)) {
    const bits = view.getUint32(21, true);
    return { width: 1 + (bits & 0x3fff), height: 1 + ((bits >> 14) & 0x3fff) };
  }
  return starts("VP8 ", 12) ? { width: view.getUint16(26, true) & 0x3fff, height: view.getUint16(28, true) & 0x3fff } : null;
}

/**
 * @param {DataView} view
 * @returns {Size | null}
 */
function jpeg(view) {
  for (let at = 2; ; at += 2 + view.getUint16(at + 2)) {
    while (view.getUint8(at + 1) === 0xff) at++;
    const marker = view.getUint8(at + 1);
    const isFrame = marker >= 0xc0 && marker <= 0xcf && ![0xc4, 0xc8, 0xcc].includes(marker);
    if (isFrame) return { width: view.getUint16(at + 7), height: view.getUint16(at + 5) };
    if (view.getUint8(at) !== 0xff || marker === 0xda) return null;
  }
}
