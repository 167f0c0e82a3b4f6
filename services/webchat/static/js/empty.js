/** What stands where no conversation is yet: who will answer, or what is missing. */

import { byId, fill, h } from "./dom.js";
import { t } from "./words.js";

/** @param {boolean} show @param {import("./models.js").Models} models @param {string} model that is chosen @param {boolean} kept by the gateway */
export function drawEmpty(show, models, model, kept) {
  const place = byId("empty");
  place.hidden = !show;
  if (!show) return;
  if (models.none) {
    const isForKey = models.gateway.apiKey.isThere; // others may have some
    if (isForKey) fill(place, h("h2", {}, t("noModelForKey")), h("p", {}, t("noModelForKeyHow")), h("p", { class: "note" }, t("noModelLooking")));
    else fill(place, h("h2", {}, t("noModel")), h("p", {}, t("noModelHow")), h("pre", { tabindex: "0" }, "ollama pull llama3.2"), h("p", { class: "note" }, t("noModelLooking")));
    return;
  }
  const meant = models.meant(model);
  fill(place, h("h2", {}, t("welcome")), meant?.simulated ? h("p", { class: "simulated" }, t("simulatedWords")) : null, h("p", { class: "note" }, t(kept ? "welcomeKept" : "welcomeNote")));
}
