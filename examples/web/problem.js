/** A sentence for the user: what was expected, what was got and what to do. */
export class Problem extends Error {}

/**
 * The sentence about any failure.
 * @param {unknown} error
 * @returns {string}
 */
export function sentence(error) {
  if (error instanceof Problem) return error.message;
  const what = error instanceof Error ? error.message : String(error);
  return `Expected the page to do its work, got "${what.slice(0, 300)}"; reload the page, and report this if it stays so.`;
}
