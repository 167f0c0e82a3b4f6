/** Asks for the gateway's key, at the top of the page, when there is none or the one that is there is refused. */

import { byId, h, icon, iconButton } from "./dom.js";
import { KeyForm } from "./key-form.js";
import { t } from "./words.js";

export class KeyBar {
  #what = h("p", { class: "what", role: "alert" });
  #form;
  #bar;

  /**
   * @param {import("./models.js").Models} models
   * @param {() => void} taken a key is good
   */
  constructor(models, taken) {
    const { apiKey, origin } = models.gateway;
    this.apiKey = apiKey;
    this.#form = new KeyForm("key-asked", models, () => {
      this.#hide();
      taken();
    });
    this.#bar = h(
      "section",
      { class: "banner key-bar", "aria-label": t("key") },
      icon("key"),
      h("div", {}, this.#what, h("p", { class: "note" }, t("keyWhere", { origin: origin || location.origin }))),
      iconButton("close", t("close"), () => this.#hide()),
      this.#form.element,
    );
    apiKey.addEventListener("changed", () => this.#changed());
    if (apiKey.wanted) this.#show(); // it is made as a key is wanted first
  }

  /** Show it, and put the cursor there: a person asked for it. */
  open() {
    this.#show();
    this.#form.focus();
  }

  #changed() {
    if (this.apiKey.wanted) this.#show();
    else if (!this.#form.isTrying) this.#hide(); // a key came from elsewhere
  }

  #show() {
    if (this.#bar.isConnected) return;
    this.#form.clear();
    byId("banners").appendChild(this.#bar);
    this.#what.textContent = t(this.apiKey.isThere ? "keyKeptRefused" : "keyWanted"); // after it stands there: so it is read out
    if (nothingIsTyped()) this.#form.focus();
  }

  #hide() {
    this.#bar.remove();
  }
}

/** Whether the cursor stands nowhere, or in the composer and has written nothing; a phone would open its keyboard. */
function nothingIsTyped() {
  const question = /** @type {HTMLTextAreaElement} */ (byId("question"));
  const isIdle = document.activeElement === document.body || (document.activeElement === question && question.value === "");
  return isIdle && !matchMedia("(pointer: coarse)").matches;
}
