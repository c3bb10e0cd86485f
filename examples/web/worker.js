import { readDetections, select } from "./detections.js";
import { draw } from "./draw.js";
import { upsample } from "./masks.js";
import { stretch } from "./preprocess.js";
import { Problem, sentence } from "./problem.js";
import { prototypePanels } from "./prototypes.js";
import { encodeRle } from "./rle.js";
import { Session } from "./session.js";

/**
 * @typedef {{threshold: number, most: number, zoom: number}} Wanted The detections to show, and the zoom.
 * @typedef {{bitmap: ImageBitmap, source: string, outputs: Record<string, import("./detections.js").Tensor>,
 *   found: import("./detections.js").Detection[]}} Seen
 */

/** @type {{palette: import("./draw.js").Color[], prototype_colors: import("./draw.js").Color[], files: any}} */
let settings;
/** @type {OffscreenCanvas} */
let canvas;
/** @type {Session | null} */
let session = null;
/** @type {Seen | null} */
let seen = null;

/** @type {Record<string, (content: any, tell: (noun: string, part: number) => void) => Promise<any>>} */
const answers = {
  async open({ device, settings: given, canvas: screen }, tell) {
    settings = given ?? settings;
    canvas = screen ?? canvas;
    await session?.close();
    session = null;
    session = await Session.open(device, settings.files, tell);
    return { device, metadata: session.metadata };
  },

  /** The device behind WebGPU: "hardware", "software", which takes minutes, or "nothing". */
  async webGpu() {
    const gpu = /** @type {any} */ (navigator).gpu, adapter = await gpu?.requestAdapter().catch(() => null);
    return adapter ? (adapter.info?.isFallbackAdapter ? "software" : "hardware") : "nothing";
  },

  async find({ bitmap, source, wanted }) {
    const { metadata } = opened(), { width, height } = bitmap, times = new Map();
    const timed = clock(times);
    const images = timed("resize", () => stretch(pixelsOf(bitmap), width, height, metadata.imageSize));
    const outputs = await timed("network", () => opened().run(images));
    seen?.bitmap.close();
    seen = { bitmap, source, outputs, found: readDetections(outputs, metadata.classNames.length, width, height) };
    return { ...show(wanted, times), ...prototypePanels(outputs.prototypes, width, height, settings.prototype_colors) };
  },

  async show({ wanted }) {
    return seen && show(wanted, new Map());
  },

  /** The picture's results, as `yolact-infer --json` writes them. */
  async results({ wanted }) {
    if (!seen) throw new Problem("Expected a picture, got none yet; choose one first.");
    const { width, height } = seen.bitmap, names = opened().metadata.classNames;
    const detections = chosen(seen, wanted).map((one) => ({
      class_id: one.classId, class_name: names[one.classId], score: Number(one.ranking.toFixed(5)),
      box: one.box.map((value) => Number(value.toFixed(2))),
      mask: encodeRle(/** @type {import("./masks.js").Mask} */ (one.mask), width, height),
    }));
    return [{ source: seen.source, width, height, detections }];
  },
};

function opened() {
  if (!session) throw new Problem("Expected an open model, got none; reload the page.");
  return session;
}

/**
 * The picture as (height, width, 4) bytes; transparent parts are white.
 * @param {ImageBitmap} bitmap
 */
function pixelsOf(bitmap) {
  const { width, height } = bitmap, copy = new OffscreenCanvas(width, height);
  const paper = copy.getContext("2d", { willReadFrequently: true });
  if (!paper) throw new Problem(`Expected memory for ${width}x${height} pixels, got none; choose a smaller picture.`);
  paper.fillStyle = "#fff";
  paper.fillRect(0, 0, width, height);
  paper.drawImage(bitmap, 0, 0);
  return paper.getImageData(0, 0, width, height).data;
}

/**
 * The wanted detections, with their masks.
 * @param {Seen} of
 * @param {Wanted} wanted
 */
function chosen({ bitmap, outputs, found }, wanted) {
  const shown = select(found, wanted.threshold, wanted.most), cells = outputs.masks.dims[3];
  for (const one of shown) one.mask ??= upsample(one.probabilities, cells, bitmap.width, bitmap.height);
  return shown;
}

/**
 * Draw the wanted detections of the last picture.
 * @param {Wanted} wanted
 * @param {Map<string, number>} times of the stages so far
 */
function show(wanted, times) {
  const { bitmap } = /** @type {Seen} */ (seen), names = opened().metadata.classNames, timed = clock(times);
  /** @type {import("./detections.js").Detection[]} */
  const shown = timed("masks", () => chosen(/** @type {Seen} */ (seen), wanted));
  timed("draw", () => draw(canvas, bitmap, shown, { names, palette: settings.palette, zoom: wanted.zoom }));
  const detections = shown.map(({ classId, ranking, coefficients }, rank) => ({
    name: names[classId], score: ranking, coefficients: coefficients.slice(),
    color: settings.palette[rank % settings.palette.length],
  }));
  return { width: bitmap.width, height: bitmap.height, detections, times: Object.fromEntries(times) };
}

/**
 * Keeps how long a stage took, in milliseconds.
 * @param {Map<string, number>} times
 */
function clock(times) {
  return (/** @type {string} */ stage, /** @type {() => any} */ work) => {
    const start = performance.now(), stop = () => times.set(stage, performance.now() - start), result = work();
    if (!(result instanceof Promise)) stop();
    return result instanceof Promise ? result.finally(stop) : result;
  };
}

let last = Promise.resolve();
addEventListener("message", ({ data: { id, kind, ...rest } }) => {
  const tell = (/** @type {string} */ noun, /** @type {number} */ part) => postMessage({ id, progress: { noun, part } });
  last = last.then(async () => {
    try {
      postMessage({ id, result: await answers[kind](rest, tell) });
    } catch (error) {
      postMessage({ id, problem: sentence(error) });
    }
  });
});
