/** Tells a person who looks elsewhere that an answer has ended, if they allowed it. */

import { t } from "./words.js";

/** Whether this browser can, here: only in secure contexts. */
export function canNotify() {
  return "Notification" in globalThis && isSecureContext;
}

/** @returns {Promise<boolean>} whether the person allows it */
export async function mayNotify() {
  return canNotify() && (await Notification.requestPermission()) === "granted";
}

/** @param {string} title of the conversation @param {import("./answer.js").Answer} answer @param {() => void} open */
export function notifyEnd(title, answer, open) {
  if (!document.hidden || !canNotify() || Notification.permission !== "granted") return;
  // what the answer says stays on the page: a notification can be read over a shoulder
  const words = t(answer.status === "sent" ? "notifyComplete" : "notifyEnded");
  try {
    const notification = new Notification(title, { body: words, tag: answer.id });
    notification.onclick = () => {
      focus();
      open();
      notification.close();
    };
  } catch {
    // Android has them from a service worker only
  }
}
