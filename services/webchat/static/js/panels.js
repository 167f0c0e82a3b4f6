/** What few open is loaded as it opens first. */

import { shown } from "./dialogs.js";
import { byId, h } from "./dom.js";
import { t } from "./words.js";

/**
 * @param {import("./chat.js").Chat} chat @param {import("./settings.js").Settings} settings
 * @param {import("./models.js").Models} models @param {string} version
 */
export function loadAsTheyOpen(chat, settings, models, version) {
  atFirst(byId("menu-button"), async () => {
    const { Menu } = await import("./menu.js");
    new Menu(chat, settings, models, version);
  });
  atFirst(byId("drawer-toggle"), async () => {
    const { ParametersDrawer } = await import("./parameters.js");
    new ParametersDrawer(chat, models);
  });
}

/** @param {HTMLElement} button @param {() => Promise<void>} open */
function atFirst(button, open) {
  const opened = async () => {
    button.removeEventListener("click", opened);
    try {
      await open();
    } catch {
      button.addEventListener("click", opened);
      shown(t("pageAway"), h("p", {}, t("pageAwayWhy")));
    }
  };
  button.addEventListener("click", opened);
}
