import { placeLabels } from "./labels.js";
import { outline } from "./outline.js";

const OPACITY = 0.45;
const REFERENCE_SIDE = Math.sqrt(640 * 480);  // picture for which the sizes below are meant; others scale with it
const FONT_PIXELS = 15, SMALLEST_ON_SCREEN = 12, LINE = 2, PADDING = 3.5;

/** @typedef {[number, number, number]} Color red, green, blue */

/**
 * Draw a picture with detections on it, best on top.
 * @param {OffscreenCanvas} canvas gets the picture's size
 * @param {ImageBitmap} picture
 * @param {import("./detections.js").Detection[]} found with their masks, best first
 * @param {{names: readonly string[], palette: Color[], zoom: number}} how `zoom`: pixels of the picture for one on the screen
 */
export function draw(canvas, picture, found, { names, palette, zoom }) {
  const { width, height } = picture, style = styleOf(width, height, zoom);
  if (canvas.width !== width) canvas.width = width;
  if (canvas.height !== height) canvas.height = height;
  const paper = /** @type {OffscreenCanvasRenderingContext2D} */ (canvas.getContext("2d"));
  paper.fillStyle = "#fff";
  paper.fillRect(0, 0, width, height);
  paper.drawImage(picture, 0, 0);
  const colors = found.map((_, rank) => palette[rank % palette.length]);
  for (let i = found.length - 1; i >= 0; i--) drawMask(paper, found[i].mask, colors[i], Math.max(1, style.line >> 1));
  const boxes = found.map(({ box }) => box.map((value, side) => Math.min(Math.round(value), (side % 2 ? height : width) - 1)));
  paper.lineWidth = style.line;
  for (let i = found.length - 1; i >= 0; i--) {
    const [left, top, right, bottom] = boxes[i];
    paper.strokeStyle = css(colors[i]);
    paper.strokeRect(left + 0.5, top + 0.5, right - left, bottom - top);
  }
  drawLabels(paper, found, boxes, { names, colors, style });
}

/**
 * @param {number} width
 * @param {number} height
 * @param {number} zoom
 */
function styleOf(width, height, zoom) {
  const scale = Math.min(Math.sqrt(width * height), 2 * Math.min(width, height)) / REFERENCE_SIDE;
  const font = Math.max(FONT_PIXELS * scale, SMALLEST_ON_SCREEN * zoom);
  const padding = Math.max(2, Math.round((PADDING * font) / FONT_PIXELS));
  return { font, padding, line: Math.max(1, Math.round(LINE * scale)), height: Math.ceil(font * 1.2) + padding };
}

/**
 * Tint a mask and draw its outline, both inside it.
 * @param {OffscreenCanvasRenderingContext2D} paper
 * @param {import("./masks.js").Mask | undefined} mask
 * @param {Color} color
 * @param {number} reach width of the outline, pixels
 */
function drawMask(paper, mask, color, reach) {
  if (!mask || !mask.bits.length) return;
  const edge = outline(mask, reach), tint = new ImageData(mask.width, mask.height);
  const inside = pixel(color, Math.round(255 * OPACITY)), line = pixel(color, 255), pixels = new Uint32Array(tint.data.buffer);
  for (let i = 0; i < pixels.length; i++) pixels[i] = edge[i] ? line : mask.bits[i] ? inside : 0;
  const layer = new OffscreenCanvas(mask.width, mask.height);
  layer.getContext("2d")?.putImageData(tint, 0, 0);
  paper.drawImage(layer, mask.left, mask.top);
}

/**
 * @param {Color} color
 * @param {number} alpha
 */
function pixel([red, green, blue], alpha) {
  return new Uint32Array(Uint8Array.of(red, green, blue, alpha).buffer)[0];
}

/**
 * @param {OffscreenCanvasRenderingContext2D} paper
 * @param {import("./detections.js").Detection[]} found
 * @param {number[][]} boxes
 * @param {{names: readonly string[], colors: Color[], style: ReturnType<typeof styleOf>}} how
 */
function drawLabels(paper, found, boxes, { names, colors, style }) {
  paper.font = `600 ${style.font}px system-ui, sans-serif`;
  paper.textBaseline = "middle";
  const texts = found.map((one) => [`${names[one.classId]} ${one.ranking.toFixed(2)}`, names[one.classId]]);
  const measure = (/** @type {string} */ text) => paper.measureText(text).width;
  const labels = placeLabels(boxes, texts, measure, style, paper.canvas.width, paper.canvas.height);
  for (const { x, y, width, height, text, index } of labels.reverse()) {
    paper.fillStyle = css(colors[index]);
    paper.fillRect(x, y, width, height);
    paper.fillStyle = luminance(colors[index]) > 0.179 ? "#000" : "#fff";
    paper.fillText(text, x + style.padding, y + height / 2);
  }
}

/** @param {Color} color */
export function css([red, green, blue]) {
  return `rgb(${red}, ${green}, ${blue})`;
}

/**
 * Relative luminance of WCAG 2.
 * @param {Color} color
 */
function luminance(color) {
  const [red, green, blue] = color.map((value) => {
    const c = value / 255;
    return c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4;
  });
  return 0.2126 * red + 0.7152 * green + 0.0722 * blue;
}
