/** Puts together what the page needs where the gateway keeps conversations. */

import { openGatewayStore } from "./gateway-store.js";
import { Live } from "./live.js";
import { offerToMove } from "./moving.js";
import { Sync } from "./sync.js";
import { t } from "./words.js";

/** @param {import("./gateway.js").Gateway} gateway @param {import("./store.js").OwnStore} local @param {import("./banners.js").Banners} banners */
export function openKept(gateway, local, banners) {
  return openGatewayStore(gateway, local, (what) => {
    if (what === "here") banners.hide("kept");
    else banners.show("kept", t(`kept_${what}`), { dismiss: true });
  });
}

/** Hear of what other devices do, and offer what this browser has. @param {import("./chat.js").Chat} chat @param {import("./gateway-store.js").GatewayStore} kept @param {import("./banners.js").Banners} banners */
export function keepUp(chat, kept, banners) {
  const sync = new Sync(chat, kept);
  void new Live(chat.gateway, chat.leases, (told) => sync.take(told)).run();
  void offerToMove(kept, banners, () => void chat.readList());
}
