/** @typedef {{x: number, y: number, width: number, height: number, text: string, index: number}} Label */

/**
 * Where the labels go, best first: inside the picture and clear of those before. Best is above the box, then from its
 * upper edge down, then below it; flush with its left side, else with its right one. Where nothing is free the score is
 * left out, then the label. The rule is that of runtime/images/drawing.py.
 * @param {number[][]} boxes left, top, right, bottom in whole pixels
 * @param {string[][]} texts for each box its label and a shorter one
 * @param {(text: string) => number} measure width of a text, pixels
 * @param {{height: number, padding: number, line: number}} style
 * @param {number} width of the picture
 * @param {number} height of the picture
 * @returns {Label[]}
 */
export function placeLabels(boxes, texts, measure, style, width, height) {
  /** @type {Label[]} */
  const placed = [];
  boxes.forEach((box, index) => {
    for (const text of texts[index]) {
      const size = { width: Math.ceil(measure(text)) + 2 * style.padding, height: style.height };
      const spot = spots(box, size, style.line, width, height).find(
        (at) => !placed.some((other) => overlaps({ ...at, ...size }, other)),
      );
      if (!spot) continue;
      placed.push({ ...spot, ...size, text, index });
      break;
    }
  });
  return placed;
}

/**
 * @param {number[]} box
 * @param {{width: number, height: number}} size
 * @param {number} line width
 * @param {number} width
 * @param {number} height
 */
function spots([left, top, right, bottom], size, line, width, height) {
  const lowest = height - size.height, rightmost = width - size.width, margin = Math.floor(line / 2), found = [];
  if (lowest < 0 || rightmost < 0) return [];
  const tops = [top - size.height];
  for (let y = Math.max(top - margin, 0); y < bottom - size.height; y += size.height) tops.push(y);
  tops.push(bottom + 1);
  const lefts = [Math.max(left - margin, 0), Math.max(right + margin + 1 - size.width, 0)];
  for (const y of tops) {
    if (y < 0 || y > lowest) continue;
    for (const x of lefts) found.push({ x: Math.min(x, rightmost), y });
  }
  return found;
}

/**
 * @param {{x: number, y: number, width: number, height: number}} a
 * @param {{x: number, y: number, width: number, height: number}} b
 */
function overlaps(a, b) {
  return a.x < b.x + b.width && b.x < a.x + a.width && a.y < b.y + b.height && b.y < a.y + a.height;
}
