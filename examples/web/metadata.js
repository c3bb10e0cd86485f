import { Problem } from "./problem.js";

const SCHEMA = "4";
const PREPROCESSING = "BGR uint8, stretched to the square input, bilinear, no antialiasing";
const METADATA_PROPS = 14, LENGTH_DELIMITED = 2, KEY = 1, VALUE = 2;

/**
 * @typedef {object} Metadata The metadata in an exported file; see runtime/metadata.py.
 * @property {string} name of the configuration
 * @property {number} imageSize side of the square input, pixels
 * @property {string[]} classNames
 * @property {number} scoreThreshold below which the graph finds nothing
 * @property {number} maxDetections
 */

/**
 * Read the metadata of an ONNX file.
 * @param {Uint8Array} model
 * @returns {Metadata}
 * @throws {Problem} where they are missing, damaged or of a file that this page does not run
 */
export function readMetadata(model) {
  const expected = "Expected a model that yolact-export wrote for this page";
  const remedy = "build the page again with make web";
  let props;
  try {
    props = readProps(model);
  } catch {
    throw new Problem(`${expected}, got a file that is no ONNX model; ${remedy}.`);
  }
  for (const [key, wanted] of [["schema_version", SCHEMA], ["graph", "full"], ["preprocessing", PREPROCESSING]]) {
    const got = props.get(`yolact.${key}`);
    if (got !== wanted) throw new Problem(`${expected} with ${key} "${wanted}", got "${got ?? "nothing"}"; ${remedy}.`);
  }
  try {
    return checked(JSON.parse(props.get("yolact.config") ?? ""), JSON.parse(props.get("yolact.postprocess") ?? ""));
  } catch {
    throw new Problem(`${expected}, got one with damaged metadata; ${remedy}.`);
  }
}

/**
 * @param {any} config
 * @param {any} postprocess
 * @returns {Metadata}
 */
function checked(config, postprocess) {
  const names = config.class_names;
  if (!Array.isArray(names) || !names.length || !names.every((name) => typeof name === "string")) throw new Error();
  for (const number of [config.image_size, postprocess.max_detections]) {
    if (!Number.isInteger(number) || number < 1) throw new Error();
  }
  if (!(postprocess.score_threshold >= 0 && postprocess.score_threshold <= 1)) throw new Error();
  return {
    name: String(config.name), imageSize: config.image_size, classNames: names,
    scoreThreshold: postprocess.score_threshold, maxDetections: postprocess.max_detections,
  };
}

/**
 * The pairs in `metadata_props`, a field of the protocol buffer `ModelProto`.
 * @param {Uint8Array} model
 * @returns {Map<string, string>}
 */
function readProps(model) {
  const text = new TextDecoder("utf-8", { fatal: true }), props = new Map();
  for (const [number, entry] of fields(model)) {
    if (number !== METADATA_PROPS) continue;
    const pair = new Map(fields(entry));
    props.set(text.decode(pair.get(KEY)), text.decode(pair.get(VALUE)));
  }
  return props;
}

/**
 * The fields of a message that hold bytes, each with its number.
 * @param {Uint8Array} message
 * @returns {Generator<[number, Uint8Array]>}
 */
function* fields(message) {
  let at = 0;
  const varint = () => {
    for (let value = 0, factor = 1; at < message.length && factor < 2 ** 64; factor *= 128) {
      const byte = message[at++];
      value += (byte & 127) * factor;
      if (byte < 128) return value;
    }
    throw new Error("a number is cut off");
  };
  while (at < message.length) {
    const tag = varint(), number = Math.floor(tag / 8), wire = tag % 8;
    if (wire === 0) varint();
    else if (wire === LENGTH_DELIMITED) {
      const length = varint();
      if (at + length > message.length) throw new Error("a field is cut off");
      yield [number, message.subarray(at, at + length)];
      at += length;
    } else if (wire === 1 || wire === 5) at += wire === 1 ? 8 : 4;
    else throw new Error("no protocol buffer");
  }
}
