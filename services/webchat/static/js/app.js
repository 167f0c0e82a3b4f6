/** Puts the page together. */

import { Chat } from "./chat.js";
import { Composer } from "./composer.js";
import { byId } from "./dom.js";
import { Gateway } from "./gateway.js";
import { Libraries } from "./libraries.js";
import { Scrolling } from "./scrolling.js";
import { openStore } from "./store.js";
import { Thread } from "./thread.js";

/** @typedef {{version: string, gateway: string, body_bytes: number, libraries: Record<string, string>}} Config */

/** How often libraries that are still being installed are looked for. */
const LOOK_AGAIN_MS = 3000;

/** @returns {Promise<Config>} */
async function readConfig() {
  return (await fetch("/config.json", { cache: "no-store" })).json();
}

async function main() {
  const config = await readConfig();
  const store = await openStore(() => undefined);
  const gateway = new Gateway(config.gateway);
  const chat = new Chat(gateway, store, config.body_bytes);
  const libraries = new Libraries();
  const scrolling = new Scrolling(byId("scroll"), byId("latest"));
  const thread = new Thread(byId("thread"), chat, libraries, scrolling, {
    again: (id) => void chat.again(id),
    edit: (id, text) => void chat.edit(id, text),
    turnTo: (id) => void chat.turnTo(id),
    gateway: config.gateway,
  });
  const composer = new Composer(/** @type {HTMLFormElement} */ (byId("composer")), {
    send: (text) => {
      if (text.trim() === "") return false;
      scrolling.toEnd();
      void chat.send(text, []);
      return true;
    },
    stop: () => chat.stop(),
  });
  for (const name of ["thread", "answer", "ended"]) chat.addEventListener(name, () => composer.show(chat.running !== undefined));
  const look = async (/** @type {Config} */ told) => {
    const had = libraries.lexer !== null;
    await libraries.found(told.libraries).catch(() => undefined);
    if (!had && libraries.lexer !== null) thread.refresh();
    if (!libraries.lexer) setTimeout(async () => look(await readConfig().catch(() => told)), LOOK_AGAIN_MS);
  };
  await chat.begin();
  void look(config);
  composer.focus();
  Object.assign(globalThis, { sluice: { chat, libraries } }); // for the console, and for our tests
  document.documentElement.dataset.ready = "";
}

void main();
