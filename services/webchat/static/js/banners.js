/** What concerns the whole page stands at its top, once each, until it is over. */

import { byId, h, icon, iconButton } from "./dom.js";
import { t } from "./words.js";

export class Banners {
  #place = byId("banners");

  /** @param {string} name @param {string} words @param {{calm?: boolean, dismiss?: boolean}} [how] */
  show(name, words, { calm = false, dismiss = false } = {}) {
    const old = this.#place.querySelector(`[data-banner="${name}"]`);
    if (old?.getAttribute("data-words") === words) return;
    old?.remove();
    this.#place.appendChild(
      h(
        "div",
        { class: calm ? "banner calm" : "banner", role: calm ? "note" : "alert", "data-banner": name, "data-words": words },
        icon(calm ? "info" : "warning"),
        h("span", {}, words),
        dismiss ? iconButton("close", t("close"), () => this.hide(name)) : null,
      ),
    );
  }

  /** @param {string} name */
  hide(name) {
    this.#place.querySelector(`[data-banner="${name}"]`)?.remove();
  }
}
