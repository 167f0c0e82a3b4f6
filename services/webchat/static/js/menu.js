/** The menu at the foot of the rail: files out and in, how the page looks, whether it may call. */

import { shown } from "./dialogs.js";
import { byId, fill, h } from "./dom.js";
import { newId } from "./ids.js";
import { canNotify, mayNotify } from "./notifying.js";
import { place } from "./popover.js";
import { help } from "./shortcuts.js";
import { BadFile, MOST_BYTES, asMarkdown, read, written } from "./transfer.js";
import { t } from "./words.js";

export class Menu {
  #panel = byId("menu");
  #button = byId("menu-button");
  #files = /** @type {HTMLInputElement} */ (byId("import-file"));

  /** @param {import("./chat.js").Chat} chat @param {import("./settings.js").Settings} settings @param {string} version */
  constructor(chat, settings, version) {
    this.chat = chat;
    this.settings = settings;
    this.version = version;
    this.#panel.addEventListener("toggle", (event) => {
      const open = /** @type {ToggleEvent} */ (event).newState === "open";
      this.#button.setAttribute("aria-expanded", String(open));
      if (!open) return;
      this.#draw();
      place(this.#panel, this.#button);
    });
    this.#files.addEventListener("change", () => {
      const file = this.#files.files?.[0];
      if (file) void this.#import(file);
      this.#files.value = "";
    });
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
      h("button", { type: "button", class: "menu-item", onclick: act(() => this.#export()) }, t("exportAll")),
      h("button", { type: "button", class: "menu-item", disabled: this.chat.open.leaf === null, onclick: act(() => this.#exportOpen()) }, t("exportOpen")),
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

  #notifyBox() {
    const box = h("input", { type: "checkbox", id: "s-notify", checked: this.settings.choices.notify && Notification.permission === "granted" });
    box.addEventListener("change", async () => {
      box.checked = box.checked && (await mayNotify());
      this.settings.change({ notify: box.checked });
    });
    return h("div", { class: "menu-row" }, h("label", { for: box.id }, t("notify")), box);
  }

  async #export() {
    const messages = await this.chat.store.everything();
    const chats = this.chat.conversations.map((conversation) => ({ conversation, messages: messages.filter((one) => one.conversation === conversation.id) }));
    save("sluice-chats.json", "application/json", written(chats, Date.now()));
  }

  #exportOpen() {
    const { open, thread } = this.chat;
    const name = open.title.replace(/[^\p{L}\p{N} _-]+/gu, "").trim().slice(0, 60) || "chat";
    save(`${name}.md`, "text/markdown", asMarkdown(open, thread));
  }

  /** @param {File} file */
  async #import(file) {
    try {
      if (file.size > MOST_BYTES) throw new BadFile("it is too large");
      const chats = read(await file.text(), newId);
      await this.chat.takeIn(chats);
      shown(t("importDone"), h("p", {}, t("imported", { count: chats.length })));
    } catch (error) {
      if (!(error instanceof BadFile)) throw error;
      shown(t("importRefused"), h("p", {}, t("refusedBecause", { name: file.name, why: error.message })));
    }
  }
}

/** @param {string} name @param {string} type @param {string} text */
function save(name, type, text) {
  const url = URL.createObjectURL(new Blob([text], { type }));
  h("a", { href: url, download: name }).click();
  setTimeout(() => URL.revokeObjectURL(url), 10_000);
}
