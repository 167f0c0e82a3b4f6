/** Puts the page together. */

import { Announcer } from "./announcer.js";
import { ApiKey } from "./api-key.js";
import { decide } from "./approving.js";
import { Attachments } from "./attachments.js";
import { Banners } from "./banners.js";
import { Beacon } from "./beacon.js";
import { Chat } from "./chat.js";
import { Composer } from "./composer.js";
import { Connection } from "./connection.js";
import { copy } from "./copying.js";
import { byId } from "./dom.js";
import { drawEmpty } from "./empty.js";
import { Gateway } from "./gateway.js";
import { Libraries } from "./libraries.js";
import { Models } from "./models.js";
import { askForKeys, loadAsTheyOpen } from "./panels.js";
import { Picker } from "./picker.js";
import { keepPlace, placeKept } from "./place.js";
import { Rail } from "./rail.js";
import { Scrolling } from "./scrolling.js";
import { Settings } from "./settings.js";
import { listenForShortcuts } from "./shortcuts.js";
import { openStore } from "./store.js";
import { Thread } from "./thread.js";
import { ToolSwitch } from "./tool-switch.js";
import { t } from "./words.js";

/** @typedef {{version: string, gateway: string, body_bytes: number, store: boolean, libraries: Record<string, string>}} Config */

/** How often libraries that are still being installed are looked for. */
const LOOK_AGAIN_MS = 3000;
const HINT_MS = 6000;

/** @returns {Promise<Config>} */
async function readConfig() {
  return (await fetch("/config.json", { cache: "no-store" })).json();
}

/** What stands under the composer when nothing else has to. @param {Models} models @param {string} model that is chosen */
function usualHint(models, model) {
  const place = byId("hint");
  const was = place.dataset.usual ?? "";
  const keys = matchMedia("(pointer: coarse)").matches ? "" : t("hint");
  place.dataset.usual = models.meant(model)?.simulated ? t("simulatedHint") : keys;
  if (place.textContent === was) place.textContent = place.dataset.usual;
}

/** Show `words` under the composer for a while, and say them. @param {string} words */
function hint(words) {
  const place = byId("hint");
  place.textContent = byId("status").textContent = words;
  setTimeout(() => place.textContent === words && (place.textContent = place.dataset.usual ?? ""), HINT_MS);
}

async function main() {
  const settings = new Settings();
  const banners = new Banners();
  const config = await readConfig();
  const local = await openStore((what) => banners.show("store", t(`store_${what}`), { dismiss: true }));
  const gateway = new Gateway(config.gateway, new ApiKey());
  const keeping = config.store ? await import("./keeping.js") : null;
  const kept = (await keeping?.openKept(gateway, local, banners)) ?? null;
  const chat = new Chat(gateway, kept ?? local, config.body_bytes);
  chat.kept = kept;
  if (new URLSearchParams(location.search).get("tools") === "demo") chat.demoTools = (await import("./demo-tools.js")).DEMO_TOOLS;
  const models = new Models(gateway);
  const libraries = new Libraries();
  const picker = new Picker(chat, models);
  const enterKey = askForKeys(models, () => keyTaken(composer));
  const thread = makeThread(chat, libraries, {
    gateway: config.gateway,
    enterKey,
    chooseModel: () => picker.open(),
    spent: () => import("./usage.js").then(({ spentWords }) => spentWords(gateway), () => ""),
  });
  const composer = makeComposer(chat, models, thread, config);
  const rail = new Rail(chat, settings, () => composer.focus());
  new ToolSwitch(chat, models);
  loadAsTheyOpen(chat, settings, models, config.version);
  const connection = new Connection(chat, gateway, (state) => showLine(banners, state, config));
  listenForShortcuts({
    stop: () => chat.stop(),
    startNew: () => rail.startNew(),
    search: () => rail.focusSearch(),
    model: () => picker.open(),
    copyAnswer: () => void copyLast(chat.thread.findLast((one) => one.role === "assistant")?.text),
    copyCode: () => void copyLast([...document.querySelectorAll(".code-block code")].at(-1)?.textContent),
  });
  watch(chat, models, settings, rail);
  await chat.begin();
  await chat.show(placeKept());
  chat.addEventListener("thread", () => keepPlace(chat.open.id));
  Object.assign(globalThis, { sluice: { chat, libraries, models } }); // for the console, and for our tests
  composer.focus();
  document.documentElement.dataset.ready = "";
  void models.refresh();
  void connection.ask();
  if (kept) keeping?.keepUp(chat, kept, banners, composer);
  void lookForLibraries(libraries, thread, banners, config);
}

/** @param {Chat} chat @param {Libraries} libraries @param {import("./failure-card.js").Remedies} remedies */
function makeThread(chat, libraries, remedies) {
  const scrolling = new Scrolling(byId("scroll"), byId("latest"));
  const beacon = new Beacon(chat.gateway);
  const thread = new Thread(byId("thread"), chat, libraries, scrolling, {
    again: (id) => void chat.again(id),
    edit: (id, text) => void chat.edit(id, text),
    turnTo: (id) => void chat.turnTo(id),
    decide: (answer, call, approve) => decide(chat.gateway, answer, call, approve),
    remedies,
  });
  chat.onasked = (id) => beacon.asked(id);
  thread.ondraw = (answer) => beacon.drawn(answer);
  return thread;
}

/** @param {Chat} chat @param {Models} models @param {Thread} thread @param {Config} config */
function makeComposer(chat, models, thread, config) {
  const form = /** @type {HTMLFormElement} */ (byId("composer"));
  const attachments = new Attachments(form, config.body_bytes, hint);
  const composer = new Composer(form, {
    send: (text) => {
      if (text.trim() === "" && attachments.waiting.length === 0) return false;
      thread.scrolling.toEnd();
      void chat.send(text, attachments.taken()).then(() => chat.leftOut && hint(t("leftOut", { count: chat.leftOut })));
      return true;
    },
    stop: () => chat.stop(),
    early: () => hint(t("stillRunning")),
  });
  for (const name of ["thread", "answer", "ended"]) chat.addEventListener(name, () => composer.show(chat.running !== undefined));
  for (const name of ["changed", "chosen"]) models.addEventListener(name, () => attachments.show(models.meant(chat.open.model)));
  chat.addEventListener("thread", () => attachments.show(models.meant(chat.open.model)));
  return composer;
}

/** @param {Chat} chat @param {Models} models @param {Settings} settings @param {Rail} rail */
function watch(chat, models, settings, rail) {
  const announcer = new Announcer(settings);
  const titles = () => {
    byId("title").textContent = chat.open.title || t("newChat");
    document.title = chat.open.title ? `${chat.open.title} · ${t("appName")}` : t("appName");
    byId("drawer-toggle").classList.toggle("changed", Object.keys(chat.open.parameters).some((name) => name !== "tools"));
    usualHint(models, chat.open.model);
    drawEmpty(chat.open.leaf === null, models, chat.open.model, chat.kept !== null);
  };
  for (const name of ["thread", "list"]) chat.addEventListener(name, titles);
  for (const name of ["changed", "chosen"]) models.addEventListener(name, titles);
  titles();
  chat.addEventListener("answer", (event) => {
    const answer = chat.tree.get(/** @type {CustomEvent<string>} */ (event).detail);
    if (answer?.role === "assistant") announcer.changed(answer);
  });
  chat.addEventListener("ended", (event) => {
    const { detail: id } = /** @type {CustomEvent<string>} */ (event);
    void models.refresh(); // it may be loaded now
    const answer = chat.tree.get(id);
    if (answer?.role === "assistant") announcer.ended(answer);
    if (settings.choices.notify) void tellEnd(chat, id, rail);
  });
}

/** @param {Chat} chat @param {string} id @param {Rail} rail */
async function tellEnd(chat, id, rail) {
  const [answer, loaded] = await Promise.all([chat.store.message(id), import("./notifying.js").catch(() => null)]);
  const conversation = chat.conversations.find((one) => one.id === answer?.conversation);
  if (answer?.role === "assistant" && conversation) loaded?.notifyEnd(conversation.title, answer, () => void chat.show(conversation.id).then(rail.opened));
}

/** @param {Banners} banners @param {import("./connection.js").State} state @param {Config} config */
function showLine(banners, state, config) {
  if (state === "offline") banners.show("line", t("bannerOffline"));
  else if (state === "unreachable") banners.show("line", t("unreachable", { origin: config.gateway || location.origin }));
  else if (state === "draining" || state === "no_model_server") banners.show("line", t(`banner_${state}`), { calm: true });
  else banners.hide("line");
}

/** A key is good: go to what waited for one. @param {Composer} composer */
function keyTaken(composer) {
  hint(t("keyTaken"));
  const waiting = /** @type {HTMLElement | undefined} */ ([...document.querySelectorAll('[data-code="unauthorized"] .retry')].at(-1));
  if (waiting) waiting.focus();
  else composer.focus();
}

/** @param {string | null | undefined} text */
async function copyLast(text) {
  if (text && (await copy(text))) hint(t("copied"));
}

/** @param {Libraries} libraries @param {Thread} thread @param {Banners} banners @param {Config} config */
async function lookForLibraries(libraries, thread, banners, config) {
  await libraries.found(config.libraries).catch(() => undefined);
  if (libraries.markdown) {
    banners.hide("plain");
    thread.refresh();
    return;
  }
  banners.show("plain", t("plainText"), { calm: true, dismiss: true });
  setTimeout(async () => lookForLibraries(libraries, thread, banners, await readConfig().catch(() => config)), LOOK_AGAIN_MS);
}

void main();
