/** What an answer says and the tools between, in the order in which they came. */

import { parts } from "./answer.js";
import { h } from "./dom.js";
import { TextView } from "./text-view.js";
import { ToolRows } from "./tool-rows.js";

export class AnswerBody {
  element = h("div", { class: "parts" });
  /** @type {(TextView | ToolRows)[]} */
  #views = [];

  /** @param {import("./libraries.js").Libraries} libraries @param {import("./tool-rows.js").Decide} decide */
  constructor(libraries, decide) {
    this.libraries = libraries;
    this.decide = decide;
  }

  /** @param {import("./answer.js").Answer} answer @param {boolean} over @returns {boolean} whether all of it is drawn */
  draw(answer, over) {
    const wanted = parts(answer);
    let drawn = true;
    wanted.forEach((part, index) => {
      const view = this.#viewAt(index, "tools" in part);
      if (view instanceof ToolRows) view.draw("tools" in part ? part.tools : [], answer);
      else drawn = view.show("text" in part ? part.text : "", over || index < wanted.length - 1) && drawn;
    });
    for (const view of this.#views.splice(wanted.length)) view.element.remove();
    return drawn;
  }

  /** @param {number} index @param {boolean} isTools */
  #viewAt(index, isTools) {
    const known = this.#views[index];
    if (known && known instanceof ToolRows === isTools) return known;
    for (const view of this.#views.splice(index)) view.element.remove(); // a snapshot came in the place of what was heard
    const made = isTools ? new ToolRows(this.decide) : new TextView(h("div", { class: "body", dir: "auto" }), this.libraries);
    this.#views.push(made);
    this.element.append(made.element);
    return made;
  }
}
