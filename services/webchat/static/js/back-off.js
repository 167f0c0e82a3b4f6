/** How long to wait before coming back to a gateway whose line broke, and the waiting itself. */

const FIRST_S = 0.25;
/** Each wait is twice as long as the one before, up to 8 s. */
const MOST_DOUBLINGS = 5;

/**
 * Seconds to wait before try `n` (from 0), spread by a quarter to either side so that tabs and devices do not come back as one.
 * @param {number} n @param {number} chance from 0 to 1
 */
export function delayS(n, chance) {
  return FIRST_S * 2 ** Math.min(n, MOST_DOUBLINGS) * (0.75 + chance / 2);
}

/**
 * Wait, or return as soon as the browser is online again or the signal says that nobody waits any more.
 * @param {number} seconds @param {AbortSignal} [signal] @returns {Promise<void>}
 */
export function waited(seconds, signal) {
  return new Promise((resolve) => {
    const over = () => {
      clearTimeout(timer);
      removeEventListener("online", over);
      signal?.removeEventListener("abort", over);
      resolve();
    };
    const timer = setTimeout(over, seconds * 1000);
    addEventListener("online", over);
    signal?.addEventListener("abort", over);
  });
}
