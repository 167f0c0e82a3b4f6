/** Offers, once, to move the chats that this browser kept by itself to the gateway; nothing moves without a person's word. */

import { shown } from "./dialogs.js";
import { h } from "./dom.js";
import { t } from "./words.js";

const PLACE = "sluice-moving";

/** @param {import("./gateway-store.js").GatewayStore} kept @param {import("./banners.js").Banners} banners @param {() => void} moved */
export async function offerToMove(kept, banners, moved) {
  const own = await kept.local.conversations();
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
  try {
    const { written } = await import("./transfer.js");
    const chats = await Promise.all(own.map(async (conversation) => ({ conversation, messages: await kept.local.messages(conversation.id) })));
    await kept.imported(written(chats, Date.now())); // what was there already, of an earlier try, is skipped
    for (const { id } of own) await kept.local.remove(id);
    settle();
    shown(t("moved"), h("p", {}, t("movedCount", { count: own.length })));
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    shown(t("movedNotTitle"), h("p", {}, t("movedNot", { why })));
  }
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
