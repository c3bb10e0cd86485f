import { Problem } from "./problem.js";

const REMEDY = "build the page again with make web and publish the whole folder";

/**
 * @typedef {{bytes: number, sha256: string}} Expected The build's record of a file.
 */

/**
 * A file of this page, compared with the build's record.
 * @param {string} name relative to the page
 * @param {string} noun its name for people
 * @param {Expected} [expected] not known of the list of files itself
 * @param {(part: number) => void} [tell] gets the part that is there, 0 to 1
 * @returns {Promise<Uint8Array>}
 * @throws {Problem} where it is missing or differs
 */
export async function fetchFile(name, noun, expected, tell) {
  const file = new URL(name, import.meta.url).pathname.split("/").pop();
  const wanted = `Expected ${noun} in the file ${file} beside this page`;
  const answer = await fetch(new URL(name, import.meta.url)).catch(() => null);
  if (!answer) throw new Problem(`${wanted}, got no answer from the server; connect to it and reload the page.`);
  if (!answer.ok || !answer.body) throw new Problem(`${wanted}, got "${answer.status} ${answer.statusText}"; ${REMEDY}.`);
  const data = await collect(answer.body, expected?.bytes, tell).catch(() => {
    throw new Problem(`${wanted}, got only a part of it; reload the page.`);
  });
  if (expected && data.length !== expected.bytes) {
    throw new Problem(`${wanted} with ${expected.bytes} bytes, got ${data.length}; ${REMEDY}.`);
  }
  if (expected && globalThis.crypto?.subtle && await digest(data) !== expected.sha256) {
    throw new Problem(`${wanted} as it was built, got other contents of the same length; ${REMEDY}.`);
  }
  return data;
}

/**
 * @param {ReadableStream<Uint8Array>} body
 * @param {number} [total]
 * @param {(part: number) => void} [tell]
 */
async function collect(body, total, tell) {
  const parts = [], reader = body.getReader();
  let length = 0;
  for (;;) {
    const { done, value } = await reader.read();
    if (done) break;
    parts.push(value);
    length += value.length;
    if (total) tell?.(Math.min(1, length / total));
  }
  return new Uint8Array(await new Blob(/** @type {any} */ (parts)).arrayBuffer());
}

/** @param {Uint8Array} data */
async function digest(data) {
  const bytes = new Uint8Array(await crypto.subtle.digest("SHA-256", /** @type {any} */ (data)));
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

/**
 * The contents of a gzipped file; servers that say "Content-Encoding: gzip" have it unpacked already.
 * @param {Uint8Array} data
 * @returns {Promise<Uint8Array>}
 */
export async function unpacked(data) {
  if (data[0] !== 0x1f || data[1] !== 0x8b) return data;
  const stream = new Blob([/** @type {any} */ (data)]).stream().pipeThrough(new DecompressionStream("gzip"));
  return new Uint8Array(await new Response(stream).arrayBuffer());
}
