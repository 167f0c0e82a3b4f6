/** The libraries of others, loaded when they are first needed; without them the page shows plain text. */

/** @typedef {(text: string) => any[]} Lexer */
/** @typedef {{lexer: Lexer, MarkdownBlocks: typeof import("./markdown.js").MarkdownBlocks}} Markdown */
/** @typedef {(code: string, language: string) => Promise<string | null>} Highlight */

const LANGUAGE_NAMES = new Set(
  "bash c cpp csharp css diff go java javascript json markdown python ruby rust sql typescript xml yaml".split(" "),
);
/** @type {Record<string, string>} */
const ALIASES = { sh: "bash", shell: "bash", zsh: "bash", js: "javascript", jsx: "javascript", ts: "typescript", tsx: "typescript",
  py: "python", rs: "rust", rb: "ruby", html: "xml", svg: "xml", yml: "yaml", "c++": "cpp", "c#": "csharp", cs: "csharp", md: "markdown", golang: "go" };

export class Libraries {
  /** Where each of them is, by its name. @type {Record<string, string>} */
  #places = {};
  /** @type {Map<string, Promise<any>>} */
  #loading = new Map();
  /** What draws Markdown, once its library is there. @type {Markdown | null} */
  markdown = null;

  /** Say what is installed; return when the Markdown library can be used, if it is there. @param {Record<string, string>} places */
  async found(places) {
    this.#places = places;
    if (this.markdown !== null || !places.marked) return;
    const [{ Marked }, { MarkdownBlocks }, { mathExtensions }] = await Promise.all([
      this.#loaded(`${places.marked}/lib/marked.esm.js`),
      import("./markdown.js"),
      import("./math.js"),
    ]);
    const marked = new Marked({ gfm: true });
    marked.use({ extensions: mathExtensions });
    this.markdown = { lexer: (text) => marked.lexer(text), MarkdownBlocks };
  }

  /** @type {Highlight} the code as highlight.js marks it up; null where it knows nothing of the language */
  highlight = async (code, language) => {
    const name = ALIASES[language.toLowerCase()] ?? language.toLowerCase();
    const place = this.#places.highlight;
    if (!place || !LANGUAGE_NAMES.has(name)) return null;
    const { default: core } = await this.#loaded(`${place}/es/core.min.js`);
    if (!core.getLanguage(name)) {
      const { default: grammar } = await this.#loaded(`${place}/es/languages/${name}.min.js`);
      core.registerLanguage(name, grammar);
    }
    return core.highlight(code, { language: name, ignoreIllegals: true }).value;
  };

  /** KaTeX's `render`, or null where it is not installed. */
  async math() {
    if (!this.#places.katex) return null;
    await this.#loaded(`${this.#places.katex}/dist/katex.min.js`); // no module: it puts its name where all can see it
    return /** @type {any} */ (globalThis).katex?.render ?? null;
  }

  /** @param {string} url */
  #loaded(url) {
    let loading = this.#loading.get(url);
    if (!loading) {
      loading = import(url);
      this.#loading.set(url, loading);
      loading.catch(() => this.#loading.delete(url));
    }
    return loading;
  }
}
