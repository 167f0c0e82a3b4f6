/** Formulas in Markdown: $$…$$, \[…\] and \(…\). A single dollar is money. */

/** @param {string} name @param {"block" | "inline"} level @param {RegExp} form @param {RegExp} begins @param {boolean} display */
function extension(name, level, form, begins, display) {
  return {
    name,
    level,
    /** @param {string} text */
    start: (text) => {
      const at = text.search(begins);
      return at < 0 ? undefined : at;
    },
    /** @param {string} text */
    tokenizer: (text) => {
      const match = form.exec(text);
      return match ? { type: "math", raw: match[0], text: (match[1] ?? match[2]).trim(), display } : undefined;
    },
  };
}

export const mathExtensions = [
  extension("mathBlock", "block", /^ {0,3}(?:\$\$([^$]+?)\$\$|\\\[([\s\S]+?)\\\])[ \t]*(?:\n|$)/, /^ {0,3}(?:\$\$|\\\[)/m, true),
  extension("mathInline", "inline", /^\\\(([^\n]+?)\\\)/, /\\\(/, false),
  extension("mathDisplayInline", "inline", /^(?:\$\$([^$\n]+?)\$\$|\\\[([^\n]+?)\\\])/, /\$\$|\\\[/, true),
];

/** Longest formula that is set; a longer one stays as it was written. */
const MOST_CHARACTERS = 5000;

/**
 * Set `source` into `element` once KaTeX is there; until then, and where it fails, the source stands there.
 * @param {HTMLElement} element @param {string} source @param {boolean} display @param {import("./libraries.js").Libraries} libraries
 */
export async function setMath(element, source, display, libraries) {
  element.textContent = source;
  if (source.length > MOST_CHARACTERS) return;
  const render = await libraries.math().catch(() => null);
  if (!render) return;
  try {
    // MathML needs no fonts and no styles; without trust it makes no links and loads nothing
    render(source, element, { displayMode: display, output: "mathml", throwOnError: true, trust: false, maxExpand: 200, maxSize: 50 });
  } catch {
    element.textContent = source;
  }
}
