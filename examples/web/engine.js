import { Problem } from "./problem.js";

/** Asks the worker, which runs the network, makes the masks and draws, so that the page stays alive. */
export class Engine {
  #worker = new Worker(new URL("worker.js", import.meta.url), { type: "module" });
  #waiting = new Map();
  #number = 0;
  #failure = "";

  constructor() {
    this.#worker.addEventListener("message", ({ data }) => this.#hear(data));
    this.#worker.addEventListener("error", (event) => {
      event.preventDefault();
      const said = event.message ? `"${event.message}"` : "an error";
      this.#failure = `Expected this browser to run the page's worker, got ${said}; reload the page, or take a newer browser.`;
      for (const { reject } of this.#waiting.values()) reject(new Problem(this.#failure));
      this.#waiting.clear();
    });
  }

  /**
   * @param {string} kind a question of worker.js
   * @param {object} [content]
   * @param {Transferable[]} [moved] objects in it that the worker gets for good
   * @param {(progress: {noun: string, part: number}) => void} [tell]
   * @returns {Promise<any>}
   * @throws {Problem} what the worker says
   */
  ask(kind, content = {}, moved = [], tell) {
    if (this.#failure) return Promise.reject(new Problem(this.#failure));
    const id = this.#number++;
    return new Promise((resolve, reject) => {
      this.#waiting.set(id, { resolve, reject, tell });
      this.#worker.postMessage({ id, kind, ...content }, moved);
    });
  }

  /** @param {{id: number, progress?: any, problem?: string, result?: any}} answer */
  #hear({ id, progress, problem, result }) {
    const asked = this.#waiting.get(id);
    if (progress) return asked?.tell?.(progress);
    this.#waiting.delete(id);
    if (problem) asked?.reject(new Problem(problem));
    else asked?.resolve(result);
  }
}
