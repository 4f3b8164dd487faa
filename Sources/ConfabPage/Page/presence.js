// Joins and leaves since the last message, in one line that grows. Many names are only counted; a click shows them.

import { isolated } from "./names.js";
import { list, words } from "./words.js";

const fewEnoughToName = 3;

export class Presence {
  /** By name: "came", "went", or "passed" for a join and a leave. A leave and a join cancel each other. */
  people = new Map();
  renamed = [];

  add({ joined, left, renamed }) {
    for (const name of joined) {
      if (this.people.get(name) === "went") this.people.delete(name);
      else this.people.set(name, "came");
    }
    for (const name of left) this.people.set(name, this.people.get(name) === "came" ? "passed" : "went");
    this.renamed.push(...renamed);
    return this;
  }

  get isEmpty() {
    return this.people.size === 0 && this.renamed.length === 0;
  }

  /** Returns sentences, `{ short, long }`, which differ if there are many names. */
  sentences() {
    const result = [];
    for (const kind of ["came", "went", "passed"]) {
      const names = [...this.people].filter(([, what]) => what === kind).map(([name]) => isolated(name));
      if (names.length === 0) continue;
      const long = words[kind](list(names));
      result.push({ long, short: names.length > fewEnoughToName ? words[`${kind}Many`](names.length) : long });
    }
    const renamed = this.renamed.map(([old, name]) => words.renamed(isolated(old), isolated(name)));
    const isMany = renamed.length > fewEnoughToName;
    if (isMany) result.push({ long: renamed.join(" · "), short: words.renamedMany(renamed.length) });
    else result.push(...renamed.map((sentence) => ({ long: sentence, short: sentence })));
    return result;
  }

  /** Returns the content of a row in the timeline. */
  content() {
    const sentences = this.sentences();
    const join = (kind) => sentences.map((sentence) => sentence[kind]).join(" · ");
    if (sentences.every(({ short, long }) => short === long)) return document.createTextNode(join("short"));
    const details = document.createElement("details");
    const summary = document.createElement("summary");
    const names = document.createElement("p");
    summary.textContent = join("short");
    names.textContent = join("long");
    details.append(summary, names);
    return details;
  }
}
