import { css } from "./draw.js";

const STAGES = ["decode", "resize", "network", "masks", "draw"];

/**
 * @param {string} tag
 * @param {string} [text]
 * @param {string} [kind] class
 */
function element(tag, text = "", kind = "") {
  const made = document.createElement(tag);
  made.textContent = text;
  if (kind) made.className = kind;
  return made;
}

/** @param {string} id */
const at = (id) => /** @type {HTMLElement} */ (document.getElementById(id));

/** @param {Record<string, number>} times milliseconds by stage */
function listTimes(times) {
  const rows = [...STAGES.map((stage) => [stage, times[stage]]), ["in all", STAGES.reduce((sum, stage) => sum + times[stage], 0)]];
  at("times").replaceChildren(
    ...rows.flatMap(([name, time]) => [element("dt", String(name)), element("dd", Number(time).toFixed(1))]),
  );
}

/** The facts beside a picture: detections, times, prototypes. */
export class Results {
  /** @type {{name: string, score: number, color: import("./draw.js").Color, coefficients: Float32Array}[]} */
  #detections = [];
  /** @type {import("./prototypes.js").Panel[]} */
  #panels = [];
  #explained = -1;

  /** @param {any} answer of the worker to `show` or `find`; only the latter has prototypes */
  show(answer) {
    this.#detections = answer.detections;
    this.#explained = Math.min(this.#explained, this.#detections.length - 1);
    if (answer.panels) {
      this.#panels = answer.panels;
      at("prototypes").style.setProperty("--columns", String(answer.columns));
      at("inside").hidden = false;
      this.#drawPrototypes();
      listTimes(answer.times);
    }
    at("summary").textContent = this.summary;
    this.#listDetections();
    this.#captionPrototypes();
  }

  /** Counts by class, most frequent first. */
  get summary() {
    /** @type {Map<string, number>} */
    const counts = new Map();
    for (const { name } of this.#detections) counts.set(name, (counts.get(name) ?? 0) + 1);
    const sorted = [...counts].sort((a, b) => b[1] - a[1]);
    return sorted.map(([name, count]) => `${count} × ${name}`).join(", ") || "nothing above this score";
  }

  #listDetections() {
    const focused = [...at("detections").querySelectorAll("button")].indexOf(/** @type {any} */ (document.activeElement));
    const items = this.#detections.map(({ name, score, color }, index) => {
      const button = element("button"), item = element("li"), swatch = element("i");
      button.setAttribute("type", "button");
      button.setAttribute("aria-pressed", String(index === this.#explained));
      button.title = "Show its coefficients under the prototypes";
      swatch.style.setProperty("background", css(color));
      button.append(swatch, element("span", name), element("b", score.toFixed(2)));
      button.addEventListener("click", () => this.#explain(index));
      item.append(button);
      return item;
    });
    at("detections").replaceChildren(...items);
    if (focused >= 0) items[focused]?.querySelector("button")?.focus();
  }

  /** @param {number} index of a detection, whose coefficients are shown or, a second time, hidden */
  #explain(index) {
    this.#explained = this.#explained === index ? -1 : index;
    this.#listDetections();
    this.#captionPrototypes();
  }

  #drawPrototypes() {
    at("prototypes").replaceChildren(...this.#panels.map(({ pixels }, index) => {
      const canvas = document.createElement("canvas"), item = element("li");
      canvas.width = pixels.width;
      canvas.height = pixels.height;
      canvas.getContext("2d")?.putImageData(pixels, 0, 0);
      canvas.setAttribute("role", "img");
      canvas.setAttribute("aria-label", `Prototype ${index}`);
      item.append(canvas, element("p"));
      return item;
    }));
  }

  #captionPrototypes() {
    const chosen = this.#detections[this.#explained], count = this.#panels.length;
    at("prototypes-title").textContent = count === 1 ? "1 prototype" : `${count} prototypes`;
    at("prototypes-note").textContent = "Each from its minimum, dark, to its maximum, bright. "
      + (chosen ? `The mask of ${chosen.name} ${chosen.score.toFixed(2)} is their sum times these coefficients.`
        : "Press a detection to see the coefficients of its mask.");
    at("prototypes").querySelectorAll("p").forEach((caption, index) => {
      const { largest, isFlat } = this.#panels[index], name = element("b", `P${index}`);
      const coefficient = chosen?.coefficients[index];
      if (coefficient === undefined) return caption.replaceChildren(name, element("span", isFlat ? "flat" : largest.toPrecision(2)));
      const sign = coefficient < 0 ? "−" : "+";
      return caption.replaceChildren(name, element("span", `${sign}${Math.abs(coefficient).toFixed(2)}`, coefficient < 0 ? "minus" : "plus"));
    });
  }
}
