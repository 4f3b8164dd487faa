// The number of unread messages: in the title, on the installed app's icon, and on the button to the newest one.

import { words } from "./words.js";

export class Unread {
  count = 0;

  constructor(jump) {
    this.jump = jump;
  }

  add(count) {
    this.count += count;
    this.show();
  }

  clear() {
    if (this.count === 0) return;
    this.count = 0;
    this.show();
  }

  title(text) {
    this.text = text;
    this.show();
  }

  show() {
    document.title = this.count > 0 ? `(${this.count}) ${this.text}` : this.text;
    this.jump.textContent = this.count > 0 ? words.fresh(this.count) : "";
    this.jump.ariaLabel = this.count > 0 ? `${words.fresh(this.count)}. ${words.toNewest}` : words.toNewest;
    navigator.setAppBadge?.(this.count).catch(() => {});
  }
}
