/** Puts what opens over the page beside what opened it. */

const GAP = 6;
const EDGE = 8;

/** Put a popover beside its button, within the window. @param {HTMLElement} panel @param {HTMLElement} button */
export function place(panel, button) {
  requestAnimationFrame(() => {
    const from = button.getBoundingClientRect();
    const [width, height] = [panel.offsetWidth, panel.offsetHeight];
    const fitsBelow = from.bottom + GAP + height + EDGE < innerHeight;
    const fitsAbove = from.top - GAP - height >= EDGE;
    panel.style.left = `${Math.max(EDGE, Math.min(from.left, innerWidth - width - EDGE))}px`;
    panel.style.top = fitsBelow ? `${from.bottom + GAP}px` : fitsAbove ? "auto" : `${EDGE}px`;
    panel.style.bottom = !fitsBelow && fitsAbove ? `${innerHeight - from.top + GAP}px` : "auto"; // what it holds may grow
  });
}
