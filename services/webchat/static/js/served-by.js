/** Who answered, in words: the model server, what it calls the model, what it could not take. Pure. */

/** A model server that stands with the operator speaks Ollama's; who answers in another tongue is worth a word. */
const HOUSE = "ollama";

/**
 * @param {import("./answer.js").Answer} answer
 * @returns {{by: string, elsewhere: string, attempts: number, dropped: string[]}} `elsewhere` is "" where it is the operator's own
 */
export function servedBy(answer) {
  const told = answer.done?.served_by ?? {};
  const [provider, server, model] = [told.provider, told.server, told.model].map((one) => (typeof one === "string" ? one : ""));
  const name = server || provider;
  return {
    by: [...new Set([provider, server, model])].filter(Boolean).join(" · "),
    elsewhere: provider === "" || provider === HOUSE ? "" : [name, model === answer.model ? "" : `(${model})`].filter(Boolean).join(" "),
    attempts: Number(told.attempts) || 0,
    dropped: Array.isArray(told.dropped) ? told.dropped.map(String) : [],
  };
}
