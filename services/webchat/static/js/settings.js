/** What a person chose for this browser: how it looks, whether it may call. */

/** @typedef {{theme: "system" | "light" | "dark", notify: boolean, rail: boolean, speak: "off" | "summary" | "sentences"}} Choices */

const KEY = "sluice-settings";
/** @type {Choices} */
const DEFAULTS = { theme: "system", notify: false, rail: true, speak: "summary" };

export class Settings {
  /** @type {Choices} */
  #choices = { ...DEFAULTS };

  constructor() {
    try {
      const kept = JSON.parse(localStorage.getItem(KEY) ?? "{}");
      for (const name of Object.keys(DEFAULTS)) if (typeof kept[name] === typeof Reflect.get(DEFAULTS, name)) Reflect.set(this.#choices, name, kept[name]);
    } catch {
      // no storage, or what stands there is not ours: the defaults
    }
    this.#apply();
  }

  get choices() {
    return this.#choices;
  }

  /** @param {Partial<Choices>} changes */
  change(changes) {
    Object.assign(this.#choices, changes);
    this.#apply();
    try {
      localStorage.setItem(KEY, JSON.stringify(this.#choices));
    } catch {
      // kept until the page goes
    }
  }

  #apply() {
    const { theme } = this.#choices;
    if (theme === "system") delete document.documentElement.dataset.theme;
    else document.documentElement.dataset.theme = theme;
  }
}
