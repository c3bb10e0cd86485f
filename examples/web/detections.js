import { Problem } from "./problem.js";

/**
 * @typedef {object} Detection
 * @property {number} classId
 * @property {number} score of the class
 * @property {number} ranking the score that ranks detections: the mask score where there is one, else the class's
 * @property {number[]} box left, top, right, bottom in pixels of the picture, inside it
 * @property {Float32Array} probabilities of the mask (cells, cells)
 * @property {Float32Array} coefficients of the prototypes
 * @property {import("./masks.js").Mask} [mask] made when it is first shown
 */

/** @typedef {{data: any, dims: readonly number[]}} Tensor */

/**
 * The network's detections, in pixels of the picture, without those of unknown classes or with values not finite.
 * @param {Record<string, Tensor>} outputs by the names of the contract (README.md)
 * @param {number} classes
 * @param {number} width of the picture
 * @param {number} height of the picture
 * @returns {Detection[]}
 * @throws {Problem} where the count cannot be
 */
export function readDetections(outputs, classes, width, height) {
  const { num_detections, boxes, scores, classes: ids, masks, mask_scores, detection_coefficients } = outputs;
  const count = num_detections.data[0], most = scores.dims[1];
  if (!(count >= 0 && count <= most)) {
    throw new Problem(`Expected at most ${most} detections of the network, got ${count}; build the page again with make web.`);
  }
  const row = (/** @type {Tensor} */ tensor, /** @type {number} */ index) => {
    const size = tensor.dims.slice(2).reduce((product, side) => product * side, 1);
    return tensor.data.subarray(index * size, (index + 1) * size);
  };
  const found = [];
  for (let i = 0; i < count; i++) {
    const score = scores.data[i], ranking = mask_scores ? mask_scores.data[i] : score, corners = [...row(boxes, i)];
    const isPossible = [score, ranking, ...corners].every(Number.isFinite) && ids.data[i] >= 0 && ids.data[i] < classes;
    if (!isPossible) continue;
    const box = corners.map((value, side) => clamped(value, side % 2 ? height : width));
    const rest = { probabilities: row(masks, i), coefficients: row(detection_coefficients, i) };
    found.push({ classId: ids.data[i], score, ranking, box, ...rest });
  }
  return found;
}

/**
 * @param {number} relative
 * @param {number} pixels
 */
function clamped(relative, pixels) {
  return Math.min(Math.max(Math.fround(relative * pixels), 0), pixels);
}

/**
 * The best detections above a threshold, best first, as `rank` in runtime/selection.py.
 * @param {Detection[]} found
 * @param {number} threshold
 * @param {number} most
 */
export function select(found, threshold, most) {
  const above = found.filter((one) => one.score > Math.fround(threshold) && one.ranking >= Math.fround(threshold));
  return above.sort((a, b) => b.ranking - a.ranking).slice(0, most);
}
