import { fetchFile, unpacked } from "./fetch_file.js";
import { readMetadata } from "./metadata.js";
import { Problem } from "./problem.js";

/** @typedef {"wasm" | "webgpu"} Device */

const MODEL = "model.onnx";
/** @type {Record<Device, {module: string, wasm: string}>} */
const RUNTIMES = {
  wasm: { module: "ort.wasm.bundle.min.mjs", wasm: "ort-wasm-simd-threaded.wasm.gz" },
  webgpu: { module: "ort.webgpu.bundle.min.mjs", wasm: "ort-wasm-simd-threaded.asyncify.wasm.gz" },
};

/** The model, opened in ONNX Runtime Web. */
export class Session {
  /**
   * @param {any} ort
   * @param {any} session
   * @param {import("./metadata.js").Metadata} metadata
   * @param {Device} device
   */
  constructor(ort, session, metadata, device) {
    this.metadata = metadata;
    this.device = device;
    this.ort = ort;
    this.session = session;
  }

  /**
   * @param {Device} device
   * @param {Record<string, import("./fetch_file.js").Expected>} files of this page
   * @param {(noun: string, part: number) => void} tell how much of a file is there
   * @throws {Problem} where a file is missing or damaged, or the model does not open on the device
   */
  static async open(device, files, tell) {
    const model = await fetchFile(MODEL, "the model", files[MODEL], (part) => tell("the model", part));
    const metadata = readMetadata(model);
    const ort = await loadRuntime(device, files, tell);
    try {
      const session = await ort.InferenceSession.create(model, { executionProviders: [device], logSeverityLevel: 3 });
      return new Session(ort, session, metadata, device);
    } catch (error) {
      const remedy = device === "webgpu" ? "let the processor compute" : "build the page again with make web";
      throw new Problem(`Expected ONNX Runtime to open the model, got "${reason(error)}"; ${remedy}.`);
    }
  }

  /**
   * @param {Uint8Array} images (side, side, 3) BGR
   * @returns {Promise<Record<string, import("./detections.js").Tensor>>} all outputs by name
   */
  async run(images) {
    const side = this.metadata.imageSize;
    return this.session.run({ images: new this.ort.Tensor("uint8", images, [1, side, side, 3]) });
  }

  async close() {
    await this.session.release();
  }
}

/**
 * ONNX Runtime Web for a device. It is compiled from bytes that were compared with the build's, and asks for no file.
 * @param {Device} device
 * @param {Record<string, import("./fetch_file.js").Expected>} files
 * @param {(noun: string, part: number) => void} tell
 */
async function loadRuntime(device, files, tell) {
  const { module, wasm } = RUNTIMES[device], noun = "ONNX Runtime";
  const ort = await import(`./${module}`).catch((error) => {
    throw new Problem(`Expected ${noun} in the file ${module}, got "${reason(error)}"; build the page again with make web.`);
  });
  ort.env.wasm.wasmBinary ??= await unpacked(await fetchFile(wasm, noun, files[wasm], (part) => tell(noun, part)));
  return ort;
}

/** @param {unknown} error */
function reason(error) {
  return (error instanceof Error ? error.message : String(error)).slice(0, 200);
}
