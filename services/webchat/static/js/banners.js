/** What concerns the whole page stands at its top, once each, until it is over. */

import { byId, h, icon, iconButton } from "./dom.js";
import { t } from "./words.js";

export class Banners {
  #place = byId("banners");

  /** @param {string} name @param {string} words @param {{calm?: boolean, dismiss?: boolean, actions?: [string, () => void][]}} [how] `actions` hide it, too */
  show(name, words, { calm = false, dismiss = false, actions = [] } = {}) {
    const old = this.#place.querySelector(`[data-banner="${name}"]`);
    if (old?.getAttribute("data-words") === words) return;
    old?.remove();
    this.#place.appendChild(
      h(
        "div",
        { class: calm ? "banner calm" : "banner", role: calm ? "note" : "alert", "data-banner": name, "data-words": words },
        icon(calm ? "info" : "warning"),
        h("span", {}, words),
        actions.map(([label, act]) => this.#button(name, label, act)),
        dismiss ? iconButton("close", t("close"), () => this.hide(name)) : null,
      ),
    );
  }

  /** @param {string} name @param {string} label @param {() => void} act */
  #button(name, label, act) {
    const done = () => {
      this.hide(name);
      act();
    };
    return h("button", { type: "button", class: "text-button", onclick: done }, label);
  }

  /** @param {string} name */
  hide(name) {
    this.#place.querySelector(`[data-banner="${name}"]`)?.remove();
  }
}
