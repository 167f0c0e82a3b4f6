/** The menu at the foot of the rail: how the page looks, whether it may call, the key, files out and in. */

import { shown } from "./dialogs.js";
import { byId, fill, h } from "./dom.js";
import { Refused } from "./gateway.js";
import { newId } from "./ids.js";
import { KeyForm } from "./key-form.js";
import { canNotify, mayNotify } from "./notifying.js";
import { place } from "./popover.js";
import { spentWords } from "./usage.js";
import { help } from "./shortcuts.js";
import { t } from "./words.js";

/** @typedef {typeof import("./transfer.js")} Transfer */

export class Menu {
  #panel = byId("menu");
  #button = byId("menu-button");
  #key;
  #spent = h("p", { class: "note", role: "status" });
  #files = /** @type {HTMLInputElement} */ (byId("import-file"));

  /**
   * @param {import("./chat.js").Chat} chat @param {import("./settings.js").Settings} settings
   * @param {import("./models.js").Models} models @param {string} version
   */
  constructor(chat, settings, models, version) {
    this.chat = chat;
    this.settings = settings;
    this.models = models;
    this.version = version;
    this.#key = new KeyForm("s-key", models, () => void this.#drawSpent(t("keyTaken")));
    this.#panel.addEventListener("toggle", (event) => {
      const open = /** @type {ToggleEvent} */ (event).newState === "open";
      this.#button.setAttribute("aria-expanded", String(open));
      if (open) this.#opened();
    });
    this.#files.addEventListener("change", () => {
      const file = this.#files.files?.[0];
      if (file) void withTransfer((transfer) => this.#import(transfer, file));
      this.#files.value = "";
    });
    this.#button.setAttribute("aria-expanded", "true"); // it is made as it opens first
    this.#opened();
  }

  #opened() {
    void transfer().catch(() => undefined);
    this.#draw();
    this.#key.clear();
    void this.#drawSpent();
    place(this.#panel, this.#button);
  }

  #draw() {
    const { choices } = this.settings;
    const act = (/** @type {() => unknown} */ work) => () => {
      this.#panel.hidePopover();
      void work();
    };
    fill(
      this.#panel,
      this.#select("theme", choices.theme, ["system", "light", "dark"], (theme) => this.settings.change({ theme })),
      this.#select("speak", choices.speak, ["off", "summary", "sentences"], (speak) => this.settings.change({ speak })),
      canNotify() ? this.#notifyBox() : null,
      h("hr"),
      this.#key.element,
      this.#spent,
      h("hr"),
      h("button", { type: "button", class: "menu-item", onclick: act(() => withTransfer((transfer) => this.#export(transfer).catch(() => shown(t("notExported"), h("p", {}, t("notExportedWhy")))))) }, t("exportAll")),
      h("button", { type: "button", class: "menu-item", disabled: this.chat.open.leaf === null, onclick: act(() => withTransfer((transfer) => this.#exportOpen(transfer))) }, t("exportOpen")),
      h("button", { type: "button", class: "menu-item", onclick: act(() => this.#files.click()) }, t("import")),
      h("hr"),
      h("button", { type: "button", class: "menu-item", onclick: act(help) }, t("shortcuts")),
      h("p", { class: "note" }, t("version", { version: this.version })),
    );
  }

  /** @param {string} name @param {string} value @param {string[]} values @param {(value: any) => void} chosen */
  #select(name, value, values, chosen) {
    const select = h("select", { id: `s-${name}` }, values.map((one) => h("option", { value: one, selected: one === value }, t(`${name}_${one}`))));
    select.addEventListener("change", () => chosen(select.value));
    return h("div", { class: "menu-row" }, h("label", { for: select.id }, t(name)), select);
  }

  /** What is left to the key of this day. @param {string} [words] to begin with */
  async #drawSpent(words = "") {
    this.#spent.textContent = words;
    const spent = await spentWords(this.chat.gateway);
    this.#spent.textContent = [words, spent].filter(Boolean).join(" ");
  }

  #notifyBox() {
    const box = h("input", { type: "checkbox", id: "s-notify", checked: this.settings.choices.notify && Notification.permission === "granted" });
    box.addEventListener("change", async () => {
      box.checked = box.checked && (await mayNotify());
      this.settings.change({ notify: box.checked });
    });
    return h("div", { class: "menu-row" }, h("label", { for: box.id }, t("notify")), box);
  }

  /** @param {Transfer} transfer */
  async #export({ written }) {
    if (this.chat.kept) return save("sluice-chats.json", "application/json", await this.chat.kept.exported());
    const messages = await this.chat.store.everything();
    const chats = this.chat.conversations.map((conversation) => ({ conversation, messages: messages.filter((one) => one.conversation === conversation.id) }));
    save("sluice-chats.json", "application/json", written(chats, Date.now()));
  }

  /** @param {Transfer} transfer */
  #exportOpen({ asMarkdown }) {
    const { open, thread } = this.chat;
    const name = open.title.replace(/[^\p{L}\p{N} _-]+/gu, "").trim().slice(0, 60) || "chat";
    save(`${name}.md`, "text/markdown", asMarkdown(open, thread));
  }

  /** @param {Transfer} transfer @param {File} file */
  async #import({ BadFile, MOST_BYTES, read }, file) {
    try {
      if (file.size > MOST_BYTES) throw new BadFile("it is too large");
      const text = await file.text();
      const chats = read(text, newId);
      const { imported, skipped } = await this.chat.takeIn(chats, text);
      const there = skipped > 0 ? h("p", {}, t("importSkipped", { count: skipped })) : "";
      shown(t("importDone"), h("p", {}, t("imported", { count: imported })), there);
    } catch (error) {
      if (!(error instanceof BadFile || error instanceof Refused)) throw error;
      shown(t("importRefused"), h("p", {}, t("refusedBecause", { name: file.name, why: error.message })));
    }
  }
}

/** What writes and reads files: few need it, so it is loaded as the menu opens. */
function transfer() {
  return import("./transfer.js");
}

/** @param {(transfer: Transfer) => unknown} work */
async function withTransfer(work) {
  const loaded = await transfer().catch(() => null);
  if (loaded) await work(loaded);
  else shown(t("pageAway"), h("p", {}, t("pageAwayWhy")));
}

/** @param {string} name @param {string} type @param {string} text */
function save(name, type, text) {
  const url = URL.createObjectURL(new Blob([text], { type }));
  h("a", { href: url, download: name }).click();
  setTimeout(() => URL.revokeObjectURL(url), 10_000);
}
