/** Offers, once, to move the chats that this browser kept by itself to the gateway; nothing moves without a person's word. */

import { shown } from "./dialogs.js";
import { h } from "./dom.js";
import { isKept } from "./records.js";
import { t } from "./words.js";

/** @typedef {import("./transfer.js").Chat} Chat */

const PLACE = "sluice-moving";
/** A file that the gateway takes in may have 16 MiB. */
const MOST_CHARACTERS = 5 << 20;

/** @param {import("./gateway-store.js").GatewayStore} kept @param {import("./banners.js").Banners} banners @param {() => void} moved */
export async function offerToMove(kept, banners, moved) {
  const own = (await kept.local.conversations()).filter((one) => !isKept(one.id));
  if (own.length === 0 || isSettled()) return;
  banners.show("move", t("moveOffer", { count: own.length }), {
    calm: true,
    actions: [
      [t("move"), () => void move(kept, own).then(moved)],
      [t("moveNot"), settle],
    ],
  });
}

/** @param {import("./gateway-store.js").GatewayStore} kept @param {import("./conversation.js").Conversation[]} own */
async function move(kept, own) {
  let done = 0;
  let why = "";
  try {
    const { written } = await import("./transfer.js");
    for (const batch of await batches(kept.local, own, written)) {
      await kept.imported(batch.file);
      for (const { conversation } of batch.chats) await kept.local.remove(conversation.id); // it is there now
      done += batch.chats.length;
    }
    settle();
  } catch (error) {
    why = error instanceof Error ? error.message : String(error);
  }
  const left = own.length - done;
  shown(t("moved"), h("p", {}, t("movedCount", { count: done })), left ? h("p", {}, t("movedNot", { count: left, why })) : "");
}

/** @param {import("./store.js").Store} local @param {import("./conversation.js").Conversation[]} own @param {(chats: Chat[], now: number) => string} written */
async function batches(local, own, written) {
  /** @type {{chats: Chat[], file: string}[]} */
  const made = [];
  /** @type {Chat[]} */
  let chats = [];
  for (const conversation of own) {
    const chat = { conversation, messages: await local.messages(conversation.id) };
    const file = written([...chats, chat], Date.now());
    if (chats.length > 0 && file.length > MOST_CHARACTERS) {
      made.push({ chats, file: written(chats, Date.now()) });
      chats = [];
    }
    chats.push(chat);
  }
  return [...made, { chats, file: written(chats, Date.now()) }];
}

function isSettled() {
  try {
    return localStorage.getItem(PLACE) !== null;
  } catch {
    return true; // what cannot be remembered would be asked for ever
  }
}

function settle() {
  try {
    localStorage.setItem(PLACE, "settled");
  } catch {
    // it is asked again
  }
}
