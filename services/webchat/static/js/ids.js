/** New names: for messages, conversations and Idempotency-Keys. */

/** 22 characters of [A-Za-z0-9_-], 128 random bits. `crypto.randomUUID` is not there over plain http. */
export function newId() {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return btoa(String.fromCharCode(...bytes)).replace(/\+/g, "-").replace(/\//g, "_").replace(/=+$/, "");
}
