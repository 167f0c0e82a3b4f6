/** Which chat a tab shows, through its reloads; a new tab begins with a new chat. */

const KEY = "sluice-open";

/** @param {string} conversation */
export function keepPlace(conversation) {
  try {
    sessionStorage.setItem(KEY, conversation);
  } catch {
    // no storage: a reload begins anew
  }
}

/** The chat that this tab showed before its reload; "" where it is new. */
export function placeKept() {
  try {
    return sessionStorage.getItem(KEY) ?? "";
  } catch {
    return "";
  }
}
