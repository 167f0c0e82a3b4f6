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

/** Ask for a key when the gateway wants one; what is returned asks for it now. @param {import("./models.js").Models} models @param {() => void} taken */
export function askForKeys(models, taken) {
  /** @type {Promise<import("./key-bar.js").KeyBar> | null} */
  let made = null;
  const bar = () => {
    made ??= import("./key-bar.js").then(({ KeyBar }) => new KeyBar(models, taken));
    return made.catch(() => void (made = null)); // the page's server is away: it is tried again
  };
  const { apiKey } = models.gateway;
  apiKey.addEventListener("changed", () => apiKey.wanted && void bar());
  return () => void bar().then((shown) => shown?.open());
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
