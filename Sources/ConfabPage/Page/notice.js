// The line above the field of a muted reader.

import { fullTime, words } from "./words.js";

/** The longest delay of a timer. */
const longest = 2 ** 31 - 1;

export class Notice {
  /** `changed(isMuted)` is called when the mute begins or ends. */
  constructor(element, changed) {
    this.element = element;
    this.changed = changed;
  }

  /** `mute` has the reason and the end, if there are any; undefined without a mute. */
  show(mute) {
    this.mute = mute;
    clearTimeout(this.timer);
    if (mute?.until !== undefined) {
      this.timer = setTimeout(() => this.show(undefined), Math.min(longest, Math.max(0, mute.until - Date.now())));
    }
    this.element.hidden = !mute;
    this.label();
    this.changed(mute !== undefined);
  }

  label() {
    if (!this.mute) return (this.element.textContent = "");
    const { until, reason } = this.mute;
    const text = until === undefined ? words.mutedForGood : words.mutedUntil(fullTime(until));
    this.element.textContent = reason ? `${text} ${words.reason(reason)}` : text;
  }
}
