/** A file of chats in pieces, as the gateway hands it out and takes it in: a chat may go on in the next piece. Pure. */

/** @typedef {Record<string, any>} Row */

/** The gateway takes 16 MiB; of what is counted here a character may be three bytes. */
const MOST_CHARACTERS = 5 << 20;

/** Put pieces together. @param {Row[]} pieces @returns {string} */
export function joined(pieces) {
  /** @type {Map<string, Row>} */
  const conversations = new Map();
  for (const { messages, ...conversation } of pieces.flatMap((piece) => piece.conversations)) {
    const before = conversations.get(conversation.id)?.messages ?? [];
    conversations.set(conversation.id, { ...conversation, messages: [...before, ...messages] });
  }
  const { next: _, ...head } = pieces[0];
  return JSON.stringify({ ...head, conversations: [...conversations.values()] }, null, 1);
}

/** Cut a file that is too large to be taken in at once. @param {string} text @param {number} [most] characters @returns {string[]} */
export function inPieces(text, most = MOST_CHARACTERS) {
  if (text.length <= most) return [text];
  const { conversations, ...head } = JSON.parse(text);
  if (!Array.isArray(conversations)) return [text]; // of an older form: the gateway says what it thinks of its size
  /** @type {Row[]} */
  let piece = [];
  let size = 0;
  /** @type {string[]} */
  const pieces = [];
  const end = () => {
    if (piece.length > 0) pieces.push(JSON.stringify({ ...head, conversations: piece }));
    piece = [];
    size = 0;
  };
  for (const { messages, ...conversation } of conversations) {
    piece.push({ ...conversation, messages: [] });
    for (const message of messages) {
      const length = JSON.stringify(message).length;
      if (size > 0 && size + length > most) {
        end();
        piece.push({ ...conversation, messages: [] });
      }
      size += length;
      piece[piece.length - 1].messages.push(message);
    }
  }
  end();
  return pieces;
}
