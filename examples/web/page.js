import { Camera } from "./camera.js";
import { Engine } from "./engine.js";
import { fetchFile } from "./fetch_file.js";
import { decodePicture } from "./picture.js";
import { Problem, sentence } from "./problem.js";
import { Results } from "./results.js";

const SMALLEST_MODULE = Uint8Array.of(0, 0x61, 0x73, 0x6d, 1, 0, 0, 0);

/** @param {string} id */
const at = (id) => /** @type {any} */ (document.getElementById(id));
const canvas = at("picture"), results = new Results(), camera = new Camera(at("video"));
/** @type {Engine} */
let engine;
let isRedrawing = false, isStale = false, shown = { width: canvas.width, height: canvas.height };

/** @param {string} text */
function tell(text) {
  at("status").textContent = text;
}

/** @param {unknown} [error] none hides the last one */
function complain(error) {
  at("problem").textContent = error === undefined ? "" : sentence(error);
  at("problem").hidden = error === undefined;
}

/**
 * An answer to an event, whose failures are shown.
 * @param {(...event: any[]) => Promise<void>} work
 */
function told(work) {
  return async (/** @type {any[]} */ ...event) => {
    try {
      complain();
      await work(...event);
    } catch (error) {
      complain(error);
    }
  };
}

/** @param {{noun: string, part: number}} progress */
function tellProgress({ noun, part }) {
  tell(`Loading ${noun}: ${Math.round(100 * part)} %`);
}

/**
 * The detections that the worker is to show, and the number of the picture's pixels for one on the screen.
 * @param {{width: number, height: number}} size
 */
function wanted({ width, height }) {
  const highest = parseFloat(getComputedStyle(canvas).maxHeight);
  const zoom = width / Math.min(at("stage").clientWidth, (highest * width) / height);
  return { threshold: at("threshold").valueAsNumber, most: at("most").valueAsNumber, zoom };
}

/** @param {any} answer of the worker */
function present(answer) {
  if (!answer) return;
  results.show(answer);
  shown = { width: answer.width, height: answer.height };
  canvas.setAttribute("aria-label", `The picture with its detections: ${results.summary}`);
}

/**
 * Detect the instances in a picture, and show them.
 * @param {ImageBitmap} bitmap
 * @param {string} source
 * @param {number} decoded milliseconds
 */
async function look(bitmap, source, decoded) {
  const { width, height } = bitmap;
  const answer = await engine.ask("find", { bitmap, source, wanted: wanted(bitmap) }, [bitmap]);
  answer.times.decode = decoded;
  present(answer);
  at("caption").textContent = `${source}, ${width} × ${height}`;
  at("save").disabled = false;
}

/**
 * @param {Blob} file
 * @param {string} name
 */
async function lookAtFile(file, name) {
  await stopCamera();
  tell(`Looking at ${name}`);
  try {
    const start = performance.now(), bitmap = await decodePicture(file, name);
    await look(bitmap, name, performance.now() - start);
    tell(`${name}: ${results.summary}`);
  } catch (error) {
    tell("Ready.");
    throw error;
  }
}

/** Draw the last picture again, with the sliders' values when there is time for it. */
async function redraw() {
  at("threshold-value").textContent = at("threshold").valueAsNumber.toFixed(2);
  at("most-value").textContent = at("most").value;
  isStale = true;
  if (isRedrawing) return;
  isRedrawing = true;
  try {
    while (isStale) {
      isStale = false;
      present(await engine.ask("show", { wanted: wanted(shown) }));
    }
  } finally {
    isRedrawing = false;
  }
}

async function startCamera() {
  tell("Asking for the camera");
  try {
    await camera.start();
    at("camera").setAttribute("aria-pressed", "true");
    at("camera").textContent = "Stop the camera";
    tell("The camera is on. Its pictures stay on this device.");
    while (camera.isOn) {
      const start = performance.now(), bitmap = await camera.frame();
      if (bitmap) await look(bitmap, "camera", performance.now() - start);
    }
  } finally {
    await stopCamera();
  }
}

async function stopCamera() {
  camera.stop();
  at("camera").setAttribute("aria-pressed", "false");
  at("camera").textContent = "Use the camera";
  tell("Ready.");
}

/** @param {{file: string, name: string}} sample */
async function lookAtSample({ file, name }) {
  const data = await fetchFile(file, "a sample picture");
  await lookAtFile(new Blob([/** @type {any} */ (data)]), name);
}

/** @param {{file: string, name: string}[]} samples */
function listSamples(samples) {
  at("samples").replaceChildren(...samples.map((sample) => {
    const item = document.createElement("li"), button = document.createElement("button"), image = document.createElement("img");
    button.type = "button";
    image.src = sample.file;
    image.alt = `Sample ${sample.name}`;
    button.append(image);
    button.addEventListener("click", told(() => lookAtSample(sample)));
    item.append(button);
    return item;
  }));
}

async function save() {
  const written = JSON.stringify(await engine.ask("results", { wanted: wanted(shown) }), null, 1);
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([written], { type: "application/json" }));
  link.download = "found.json";
  link.click();
  URL.revokeObjectURL(link.href);
}

/**
 * Open the model on a device.
 * @param {string} device
 * @param {object} [more] facts that the worker is told the first time
 * @param {Transferable[]} [moved]
 */
async function open(device, more = {}, moved = []) {
  at("device").disabled = true;
  try {
    const { metadata } = await engine.ask("open", { device, ...more }, moved, tellProgress);
    at("device").value = device;
    at("most").max = metadata.maxDetections;
    at("threshold").min = metadata.scoreThreshold;
    at("model").textContent = `${metadata.name}, ${metadata.imageSize}x${metadata.imageSize}, knows ${metadata.classNames.join(", ")}.`;
    tell("Ready.");
  } finally {
    at("device").disabled = false;
  }
}

function checkBrowser() {
  const remedy = "take a current version of Chrome, Edge, Firefox or Safari";
  try {
    new WebAssembly.Module(SMALLEST_MODULE);
  } catch {
    const got = typeof WebAssembly === "object" ? "one that forbids it" : "one without it";
    throw new Problem(`Expected a browser that runs WebAssembly, got ${got}; allow it, or ${remedy}.`);
  }
  for (const name of ["OffscreenCanvas", "DecompressionStream", "createImageBitmap"]) {
    if (!(name in globalThis)) throw new Problem(`Expected a browser that has ${name}, got one without it; ${remedy}.`);
  }
}

function listen() {
  at("file").addEventListener("change", told(async () => {
    const [file] = at("file").files;
    at("file").value = "";  // so that the same file can be chosen again
    if (file) await lookAtFile(file, file.name);
  }));
  at("camera").addEventListener("click", told(() => (camera.isOn ? stopCamera() : startCamera())));
  at("save").addEventListener("click", told(save));
  at("device").addEventListener("change", told(() => open(at("device").value)));
  for (const id of ["threshold", "most"]) at(id).addEventListener("input", told(redraw));
  addEventListener("resize", told(redraw));
  addEventListener("dragover", (event) => event.preventDefault());
  for (const [kind, isOver] of [["dragover", true], ["dragleave", false], ["drop", false]]) {
    addEventListener(String(kind), () => at("stage").classList.toggle("over", Boolean(isOver)));
  }
  addEventListener("drop", told(async (event) => {
    event.preventDefault();
    const [file] = event.dataTransfer?.files ?? [];
    if (!file) throw new Problem("Expected a picture file to be dropped, got something else; drop a file from a folder.");
    await lookAtFile(file, file.name);
  }));
}

async function start() {
  checkBrowser();
  const settings = JSON.parse(new TextDecoder().decode(await fetchFile("settings.json", "the list of this page's files")));
  at("threshold").value = settings.score_threshold;
  at("most").value = settings.top_k;
  engine = new Engine();
  const screen = canvas.transferControlToOffscreen();
  const behind = await engine.ask("webGpu"), device = behind === "hardware" ? "webgpu" : "wasm";
  at("device").querySelector("[value=webgpu]").disabled = behind === "nothing";
  try {
    await open(device, { settings, canvas: screen }, [screen]);
  } catch (error) {
    if (device === "wasm") throw error;
    await open("wasm");
  }
  await redraw();
  listSamples(settings.samples);
  listen();
  navigator.serviceWorker?.register("offline.js").catch(() => {});  // a convenience: the page works without it
}

told(start)().then(() => document.body.setAttribute("data-started", ""));
