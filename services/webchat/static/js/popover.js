/** Puts what opens over the page beside what opened it. */

const GAP = 6;
const EDGE = 8;

/** Put a popover beside its button, within the window. @param {HTMLElement} panel @param {HTMLElement} button */
export function place(panel, button) {
  requestAnimationFrame(() => {
    const from = button.getBoundingClientRect();
    const width = panel.offsetWidth;
    const height = panel.offsetHeight;
    const below = from.bottom + GAP + height + EDGE < innerHeight;
    panel.style.left = `${Math.max(EDGE, Math.min(from.left, innerWidth - width - EDGE))}px`;
    panel.style.top = `${Math.max(EDGE, below ? from.bottom + GAP : from.top - height - GAP)}px`;
  });
}
