/** Makes pictures small enough to be sent: in the browser, before anything leaves it. */

/** @typedef {import("./conversation.js").Picture} Picture */

/** The gateway's limit for one request. */
export const MOST_PICTURES = 16;
/** Room in a request for everything but its pictures. */
const TEXT_BYTES = 128 << 10;
/** Longest sides that are tried, in pixels: models see no more than the first. */
const SIDES = [1568, 1024, 768, 512, 320];
const QUALITY = 0.85;
/** What the gateway takes as it is; anything else the browser can read becomes a JPEG. */
const AS_IT_IS = new Set(["image/png", "image/jpeg", "image/webp", "image/gif"]);

/** A file that is no picture, or one that cannot be made small enough. */
export class BadPicture extends Error {}

/** Bytes that pictures may have in a request of `bodyBytes`: base64 makes four of three. @param {number} bodyBytes */
export function roomFor(bodyBytes) {
  return Math.max(0, Math.floor(((bodyBytes - TEXT_BYTES) * 3) / 4));
}

/** @param {Picture} picture */
export function bytesOf(picture) {
  return Math.floor((picture.data.length * 3) / 4);
}

/**
 * @param {File} file @param {number} mostBytes
 * @returns {Promise<Picture>}
 */
export async function madeSmall(file, mostBytes) {
  const bitmap = await createImageBitmap(file).catch(() => null);
  if (!bitmap) throw new BadPicture(file.name);
  const longest = Math.max(bitmap.width, bitmap.height);
  try {
    if (AS_IT_IS.has(file.type) && longest <= SIDES[0] && file.size <= mostBytes) return await pictureOf(file, file.name);
    for (const side of SIDES) {
      const blob = await drawn(bitmap, Math.min(1, side / longest));
      if (blob && blob.size <= mostBytes) return await pictureOf(blob, file.name);
    }
  } finally {
    bitmap.close();
  }
  throw new BadPicture(file.name);
}

/** @param {ImageBitmap} bitmap @param {number} scale @returns {Promise<Blob | null>} */
function drawn(bitmap, scale) {
  const canvas = document.createElement("canvas");
  canvas.width = Math.max(1, Math.round(bitmap.width * scale));
  canvas.height = Math.max(1, Math.round(bitmap.height * scale));
  const context = canvas.getContext("2d");
  if (!context) return Promise.resolve(null);
  context.fillStyle = "#fff"; // what is transparent would become black
  context.fillRect(0, 0, canvas.width, canvas.height);
  context.drawImage(bitmap, 0, 0, canvas.width, canvas.height);
  return new Promise((resolve) => canvas.toBlob(resolve, "image/jpeg", QUALITY));
}

/** @param {Blob} blob @param {string} name @returns {Promise<Picture>} */
function pictureOf(blob, name) {
  return new Promise((resolve, reject) => {
    const reader = new FileReader();
    reader.onload = () => resolve({ type: blob.type, data: String(reader.result).split(",", 2)[1], name });
    reader.onerror = () => reject(new BadPicture(name));
    reader.readAsDataURL(blob);
  });
}
