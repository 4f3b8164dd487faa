// Who is typing. That somebody is expires by itself; that the reader is, is told now and then.

import { isolated } from "./names.js";
import { list, words } from "./words.js";

const lasts = 6000;
const told = 2500;
const fewEnoughToName = 3;

export class Typing {
  constructor(line, tell) {
    this.line = line;
    this.tell = tell;
    this.timers = new Map();
    this.toldAt = 0;
  }

  heard(name) {
    clearTimeout(this.timers.get(name));
    this.timers.set(name, setTimeout(() => this.stopped(name), lasts));
    this.show();
  }

  stopped(name) {
    clearTimeout(this.timers.get(name));
    if (this.timers.delete(name)) this.show();
  }

  clear() {
    for (const name of [...this.timers.keys()]) this.stopped(name);
  }

  show() {
    const names = [...this.timers.keys()];
    const isFew = names.length <= fewEnoughToName;
    this.line.textContent = isFew ? words.typing(list(names.map(isolated)), names.length) : words.typingMany;
    this.line.hidden = names.length === 0;
  }

  /** The reader has typed something. */
  typed() {
    if (Date.now() - this.toldAt < told) return;
    this.toldAt = Date.now();
    this.tell();
  }

  /** The reader has said it: the next thing typed is told at once. */
  said() {
    this.toldAt = 0;
  }
}
