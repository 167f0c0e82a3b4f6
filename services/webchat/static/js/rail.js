/** The conversations: find one, open it, rename it, delete it, begin another. */

import { asked } from "./dialogs.js";
import { byId, fill, h, iconButton } from "./dom.js";
import { moment, t } from "./words.js";

/** @typedef {import("./conversation.js").Conversation} Conversation */

/** Where the rail covers the page instead of standing beside it. */
const NARROW = "(max-width: 800px)";
/** Asking the store for each key typed would make typing slow. */
const SEARCH_AFTER_MS = 150;

export class Rail {
  #list = byId("conversations");
  #search = /** @type {HTMLInputElement} */ (byId("search"));
  /** @type {Conversation[]} those in which it was said */
  #found = [];
  #searching = 0;

  /** @param {import("./chat.js").Chat} chat @param {import("./settings.js").Settings} settings @param {() => void} opened */
  constructor(chat, settings, opened) {
    this.chat = chat;
    this.settings = settings;
    this.opened = opened;
    for (const name of ["list", "thread", "ended"]) chat.addEventListener(name, () => this.#draw());
    chat.addEventListener("answer", () => this.#markRunning());
    this.#search.addEventListener("input", () => this.#searchSoon());
    chat.gateway.apiKey.addEventListener("given", () => void this.#find()); // what was found may be another's
    byId("new-chat").addEventListener("click", () => this.startNew());
    byId("rail-toggle").addEventListener("click", () => this.toggle());
    byId("rail-close").addEventListener("click", () => this.toggle(false));
    byId("rail").addEventListener("keydown", (event) => this.#key(event));
    byId("rail-veil").addEventListener("click", () => this.toggle(false));
    matchMedia(NARROW).addEventListener("change", () => this.toggle(this.#openAtFirst));
    this.toggle(this.#openAtFirst);
  }

  get #isNarrow() {
    return matchMedia(NARROW).matches;
  }

  get #openAtFirst() {
    return !this.#isNarrow && this.settings.choices.rail;
  }

  get isOpen() {
    return document.body.classList.contains("rail-open");
  }

  /** @param {boolean} [open] */
  toggle(open = !this.isOpen) {
    const hadFocus = byId("rail").contains(document.activeElement);
    document.body.classList.toggle("rail-open", open);
    byId("rail").inert = !open;
    byId("chat").inert = open && this.#isNarrow; // it lies under the rail
    byId("rail-toggle").setAttribute("aria-expanded", String(open));
    if (!this.#isNarrow) this.settings.change({ rail: open });
    else if (open) byId("rail-close").focus();
    if (hadFocus && !open) byId("rail-toggle").focus();
  }

  /** @param {KeyboardEvent} event */
  #key(event) {
    if (event.key !== "Escape" || !this.#isNarrow) return;
    event.stopPropagation(); // it closes the list, and stops no answer
    this.toggle(false);
  }

  startNew() {
    this.chat.startNew();
    this.#leave();
  }

  focusSearch() {
    this.toggle(true);
    this.#search.focus();
    this.#search.select();
  }

  #leave() {
    if (this.#isNarrow) this.toggle(false);
    this.opened();
  }

  #searchSoon() {
    clearTimeout(this.#searching);
    this.#searching = setTimeout(() => void this.#find(), SEARCH_AFTER_MS);
  }

  async #find() {
    const wanted = this.#wanted;
    const found = wanted === "" ? [] : await this.chat.store.search(wanted).catch(() => []);
    if (wanted !== this.#wanted) return;
    this.#found = found;
    this.#draw();
  }

  get #wanted() {
    return this.#search.value.trim().toLowerCase();
  }

  #draw() {
    const wanted = this.#wanted;
    const { conversations, kept } = this.chat;
    const within = new Set(this.#found.map((one) => one.id));
    const shown = conversations.filter((one) => wanted === "" || one.title.toLowerCase().includes(wanted) || within.has(one.id));
    if (wanted !== "") shown.push(...this.#found.filter((one) => !conversations.some((listed) => listed.id === one.id)));
    const focused = document.activeElement?.closest("[data-conversation]")?.getAttribute("data-conversation");
    const now = Date.now();
    fill(this.#list, shown.map((one) => this.#entry(one, now)), wanted === "" && kept?.next ? this.#more() : null);
    const empty = shown.length > 0 ? "" : t(wanted !== "" ? "noMatch" : kept ? "noChatsKept" : "noChats");
    byId("conversations-note").textContent = empty;
    if (focused) /** @type {HTMLElement | null} */ (this.#list.querySelector(`[data-conversation="${focused}"] .open`))?.focus();
    this.#markRunning();
  }

  #more() {
    return h("li", {}, h("button", { type: "button", class: "menu-item", onclick: () => void this.chat.more() }, t("olderChats")));
  }

  /** @param {Conversation} one @param {number} now */
  #entry(one, now) {
    const isOpen = one.id === this.chat.open.id;
    const open = h(
      "button",
      { type: "button", class: "open", "aria-current": isOpen ? "true" : null, title: one.title, onclick: () => void this.#show(one.id) },
      h("span", { class: "entry-title", dir: "auto" }, one.title),
      h("span", { class: "entry-time" }, moment(one.updated, now)),
    );
    return h(
      "li",
      { class: isOpen ? "entry current" : "entry", "data-conversation": one.id },
      open,
      h("span", { class: "entry-actions" }, iconButton("edit", t("renameThis", { title: one.title }), () => void this.#rename(one)), iconButton("trash", t("deleteThis", { title: one.title }), () => void this.#remove(one))),
    );
  }

  #markRunning() {
    const running = new Set([...this.chat.runs.values()].map((run) => run.answer.conversation));
    for (const entry of this.#list.children) entry.classList.toggle("running", running.has(entry.getAttribute("data-conversation") ?? ""));
  }

  /** @param {string} id */
  async #show(id) {
    await this.chat.show(id);
    this.#leave();
  }

  /** @param {Conversation} one */
  async #rename(one) {
    const title = await asked({ title: t("rename"), value: one.title, confirm: t("save") });
    if (title !== null && title.trim() !== "") await this.chat.change(one, { title: title.trim(), named: true });
  }

  /** @param {Conversation} one */
  async #remove(one) {
    const text = t(this.chat.kept ? "deleteKept" : "deleteText", { title: one.title });
    const confirmed = await asked({ title: t("deleteTitle"), text, confirm: t("delete"), danger: true });
    if (confirmed === null) return;
    const at = [...this.#list.children].findIndex((entry) => entry.getAttribute("data-conversation") === one.id);
    await this.chat.remove(one.id);
    const next = this.#list.children[at] ?? this.#list.lastElementChild; // the button that was pressed is gone
    /** @type {HTMLElement} */ (next?.querySelector(".open") ?? byId("new-chat")).focus();
  }
}
