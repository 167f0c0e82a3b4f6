/** Puts together what the page needs where the gateway keeps conversations. */

import { draftOf, forgetDrafts, moveDraft } from "./drafts.js";
import { openGatewayStore } from "./gateway-store.js";
import { Live } from "./live.js";
import { offerToMove } from "./moving.js";
import { keepPlace, placeKept } from "./place.js";
import { isKept } from "./records.js";
import { Sync } from "./sync.js";
import { t } from "./words.js";

/** @param {import("./gateway.js").Gateway} gateway @param {import("./store.js").OwnStore} local @param {import("./banners.js").Banners} banners */
export function openKept(gateway, local, banners) {
  return openGatewayStore(gateway, local, (what) => {
    if (what === "here") banners.hide("kept");
    else banners.show("kept", t(`kept_${what}`), { dismiss: true });
  });
}

/** Hear of what other devices do, and offer what this browser has. @param {import("./chat.js").Chat} chat @param {import("./gateway-store.js").GatewayStore} kept @param {import("./banners.js").Banners} banners @param {import("./composer.js").Composer} composer */
export function keepUp(chat, kept, banners, composer) {
  const sync = new Sync(chat, kept);
  void new Live(chat.gateway, chat.leases, (told) => sync.take(told)).run();
  chat.gateway.apiKey.addEventListener("given", (event) => void handOver(chat, kept, /** @type {CustomEvent<boolean>} */ (event).detail));
  void offerToMove(kept, banners, () => void chat.readList());
  putDraftsBack(chat, composer);
}

/** Have in the composer what was asked in the open chat and never taken. @param {import("./chat.js").Chat} chat @param {import("./composer.js").Composer} composer */
function putDraftsBack(chat, composer) {
  let shown = chat.open;
  if (!isKept(shown.id)) {
    moveDraft(placeKept(), shown.id); // a chat that the gateway never heard of begins anew with a reload
    keepPlace(shown.id);
  }
  composer.putBack(draftOf(shown.id));
  chat.addEventListener("thread", () => {
    if (chat.open === shown) return;
    shown = chat.open;
    const isAsked = [...chat.runs.values()].some(({ answer }) => answer.conversation === shown.id && answer.request);
    composer.putBack(isAsked ? "" : draftOf(shown.id));
  });
}

/**
 * Show what belongs to whoever holds the key that was given: it may be another person's.
 * @param {import("./chat.js").Chat} chat @param {import("./gateway-store.js").GatewayStore} kept @param {boolean} goesOn see ApiKey
 */
async function handOver(chat, kept, goesOn) {
  const { apiKey } = chat.gateway;
  const { headers } = apiKey;
  kept.clear();
  if (!goesOn) {
    forgetDrafts();
    leaveUnkept(chat); // else it would be asked in the other's name
  }
  await chat.readList(kept.listed());
  await chat.readList();
  const { open } = chat;
  const isTheirs = !isKept(open.id) || (await kept.conversation(open.id));
  if (!isTheirs && chat.open === open && apiKey.isStill(headers)) leave(chat, open.id);
}

/** What the gateway has not yet belongs to whoever asked it. @param {import("./chat.js").Chat} chat */
function leaveUnkept(chat) {
  const asking = [...chat.runs.values()].map((run) => run.answer.conversation);
  for (const id of new Set([chat.open.id, ...asking])) if (!isKept(id)) leave(chat, id);
}

/** Take a chat off the screen, with what was set for it. @param {import("./chat.js").Chat} chat @param {string} id */
function leave(chat, id) {
  const wasOpen = chat.open.id === id;
  chat.removed(id);
  if (wasOpen) chat.startNew({ model: "", parameters: {} });
}
