/** Keeps the end in view while it grows, and stops the moment a person looks elsewhere. */

/** So near the end counts as being there, in CSS pixels. */
const NEAR = 48;
const UPWARD_KEYS = new Set(["PageUp", "ArrowUp", "Home"]);

export class Scrolling {
  following = true;
  #wasAway = false; // since the end was left: only who was away can come back, not a scroll of ours that is told late

  /** @param {HTMLElement} area that scrolls @param {HTMLElement} pill that leads back to the end */
  constructor(area, pill) {
    this.area = area;
    this.pill = pill;
    area.addEventListener("wheel", (event) => event.deltaY < 0 && this.#leave(), { passive: true });
    area.addEventListener("touchmove", () => this.#leave(), { passive: true });
    area.addEventListener("keydown", (event) => UPWARD_KEYS.has(event.key) && this.#leave());
    area.addEventListener("scroll", () => this.#scrolled(), { passive: true });
    document.addEventListener("selectionchange", () => this.#selected());
    pill.addEventListener("click", () => this.toEnd());
  }

  /** Go to the end and stay there. */
  toEnd() {
    this.following = true;
    this.grew();
  }

  /** The content grew: stay at the end, if that is where we were. */
  grew() {
    if (this.following) this.area.scrollTop = this.area.scrollHeight;
    else this.#look();
    this.pill.hidden = this.following || this.#isNear;
  }

  get #isNear() {
    return this.area.scrollHeight - this.area.scrollTop - this.area.clientHeight <= NEAR;
  }

  #leave() {
    if (this.area.scrollHeight <= this.area.clientHeight) return;
    if (this.following) this.#wasAway = false;
    this.following = false;
  }

  #look() {
    if (!this.#isNear) this.#wasAway = true;
    else if (this.#wasAway && !this.#hasSelection) this.following = true;
  }

  #scrolled() {
    if (!this.following) this.#look();
    this.pill.hidden = this.following || this.#isNear;
  }

  #selected() {
    if (this.#hasSelection) this.#leave();
  }

  get #hasSelection() {
    const selection = document.getSelection();
    return Boolean(selection && !selection.isCollapsed && this.area.contains(selection.anchorNode));
  }
}
