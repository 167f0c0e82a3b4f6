/** Pictures on their way into a question: picked, pasted or dropped, if the model can see. */

import { byId, fill, h, iconButton } from "./dom.js";
import { t } from "./words.js";

/** @typedef {import("./conversation.js").Picture} Picture */

export class Attachments {
  /** @type {Picture[]} */
  waiting = [];
  #strip = byId("pictures-waiting");
  #input = /** @type {HTMLInputElement} */ (byId("picture-files"));
  #button = byId("attach");
  #can = false;

  /** @param {HTMLElement} form @param {number} bodyBytes @param {(words: string) => void} say */
  constructor(form, bodyBytes, say) {
    this.bodyBytes = bodyBytes;
    this.say = say;
    this.#button.addEventListener("click", () => this.#input.click());
    this.#input.addEventListener("change", () => {
      void this.#take([...(this.#input.files ?? [])]);
      this.#input.value = "";
    });
    form.addEventListener("paste", (event) => this.#taken(event, event.clipboardData));
    document.addEventListener("dragover", (event) => {
      if (!event.dataTransfer?.types.includes("Files")) return;
      event.preventDefault();
      form.classList.add("dropping");
    });
    document.addEventListener("dragleave", (event) => !event.relatedTarget && form.classList.remove("dropping"));
    document.addEventListener("drop", (event) => {
      form.classList.remove("dropping");
      this.#taken(event, event.dataTransfer);
    });
  }

  /** Whether the chosen model says that it sees; null where nobody knows yet. @param {import("./gateway.js").Model | null} model */
  show(model) {
    this.#can = Boolean(model?.capabilities.includes("vision"));
    this.#button.hidden = !this.#can;
    if (this.#can) void pictures().catch(() => undefined);
  }

  /** Give the pictures away. @returns {Picture[]} */
  taken() {
    const given = this.waiting;
    this.waiting = [];
    this.#draw();
    return given;
  }

  /** @param {Event} event @param {DataTransfer | null} transfer */
  #taken(event, transfer) {
    const files = [...(transfer?.files ?? [])];
    if (files.length === 0) return;
    event.preventDefault(); // else the browser would leave the page to show the file
    void this.#take(files);
  }

  /** @param {File[]} files */
  async #take(files) {
    if (!this.#can) return this.say(t("cannotSee"));
    const loaded = await pictures().catch(() => null);
    if (!loaded) return this.say(t("pageAwayWhy"));
    const { BadPicture, MOST_PICTURES, bytesOf, madeSmall, roomFor } = loaded;
    if (this.waiting.length + files.length > MOST_PICTURES) return this.say(t("tooManyPictures", { most: MOST_PICTURES }));
    const used = this.waiting.reduce((sum, picture) => sum + bytesOf(picture), 0);
    const each = Math.floor((roomFor(this.bodyBytes) - used) / files.length);
    for (const file of files) {
      try {
        this.waiting.push(await madeSmall(file, each));
      } catch (error) {
        this.say(t("badPicture", { name: error instanceof BadPicture ? error.message : file.name }));
      }
    }
    this.#draw();
  }

  #draw() {
    this.#strip.hidden = this.waiting.length === 0;
    fill(
      this.#strip,
      this.waiting.map((picture, index) =>
        h(
          "figure",
          {},
          h("img", { src: `data:${picture.type};base64,${picture.data}`, alt: picture.name }),
          iconButton("close", t("removePicture", { name: picture.name }), () => {
            this.waiting.splice(index, 1);
            this.#draw();
          }),
        ),
      ),
    );
  }
}

/** What makes them small: loaded for models that see. */
function pictures() {
  return import("./pictures.js");
}
