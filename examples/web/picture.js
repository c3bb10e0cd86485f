import { announcedSize } from "./picture_header.js";
import { Problem } from "./problem.js";

const MOST_PIXELS = 50_000_000, LONGEST_SIDE = 16_384;  // what browsers' canvases bear
const HEADER_BYTES = 1 << 20;  // thumbnails and colour profiles may come before a JPEG's size

/**
 * Decode a picture, upright as its EXIF data say and in the colours that its file holds.
 * @param {Blob} file
 * @param {string} name of it
 * @returns {Promise<ImageBitmap>}
 * @throws {Problem} where it is no picture, a damaged or too large one
 */
export async function decodePicture(file, name) {
  if (!file.size) throw new Problem(`Expected a picture in ${name}, got an empty file; choose another one.`);
  const head = await file.slice(0, HEADER_BYTES).arrayBuffer().catch(() => {
    throw new Problem(`Expected a picture in ${name}, got something that cannot be read, such as a folder; choose a file.`);
  });
  const announced = announcedSize(new Uint8Array(head));
  if (announced) checkSize(announced, name);
  let bitmap;
  try {
    bitmap = await createImageBitmap(file, { colorSpaceConversion: "none" });
  } catch {
    const got = announced ? "one that is damaged" : `a file that this browser cannot decode${file.type && ` (${file.type})`}`;
    throw new Problem(`Expected a picture such as a JPEG, PNG or WebP file in ${name}, got ${got}; choose another one.`);
  }
  try {
    checkSize(bitmap, name);
  } catch (error) {
    bitmap.close();
    throw error;
  }
  return bitmap;
}

/**
 * @param {import("./picture_header.js").Size} size
 * @param {string} name
 */
function checkSize({ width, height }, name) {
  if (width * height <= MOST_PIXELS && Math.max(width, height) <= LONGEST_SIDE) return;
  throw new Problem(
    `Expected a picture of at most ${MOST_PIXELS / 1e6} megapixels and ${LONGEST_SIDE} pixels a side in ${name}, `
    + `got ${width}x${height}; make it smaller.`,
  );
}
