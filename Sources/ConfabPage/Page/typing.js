// Typing notices. Notices of others expire; the reader's notices are sent at intervals.

import { isolated } from "./names.js";
import { list, words } from "./words.js";

const lasts = 6000;
/** Minimum time between notices in milliseconds. The server passes on one notice every two seconds. */
const interval = 2200;
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
    this.said();
    for (const name of [...this.timers.keys()]) this.stopped(name);
  }

  show() {
    const names = [...this.timers.keys()];
    if (names.length === 0) this.line.textContent = "";
    else if (names.length > fewEnoughToName) this.line.textContent = words.typingMany;
    else this.line.textContent = words.typing(list(names.map(isolated)), names.length);
  }

  /** Sends a notice, because the reader has typed: now, or as soon as the interval allows it. */
  typed() {
    this.timer ??= setTimeout(() => {
      this.timer = undefined;
      this.toldAt = Date.now();
      this.tell();
    }, Math.max(0, this.toldAt + interval - Date.now()));
  }

  /** Cancels a pending notice, because the reader has sent the message or has left the room. */
  said() {
    clearTimeout(this.timer);
    this.timer = undefined;
  }
}
