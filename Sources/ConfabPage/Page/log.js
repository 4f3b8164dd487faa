// The message list: its rows, the position of its view, and the number of unread messages.

import { isHidden } from "./hidden.js";
import { isOwn } from "./said.js";
import { Scroll } from "./scroll.js";
import { Timeline } from "./timeline.js";
import { midnight } from "./words.js";

export class Log {
  /** `nearEdge()` is called when the first loaded message is almost in view. */
  constructor(area, { rows, jump, unread, nearEdge }) {
    this.area = area;
    this.jump = jump;
    this.unread = unread;
    this.nearEdge = nearEdge;
    this.timeline = new Timeline(area, rows);
    this.scroll = new Scroll(area, () => this.moved());
    this.today = midnight(Date.now());
    document.addEventListener("visibilitychange", () => this.moved());
    setInterval(() => this.showDays(), 60_000);
  }

  clear() {
    this.timeline.clear();
    this.unread.clear();
    this.scroll.isAtEnd = true;
  }

  /** Adds messages at the end. Only news are announced to screen readers, and counted as unread. */
  append(messages, isNews) {
    const append = () => this.timeline.append(messages);
    if (isNews) append();
    else this.quietly(append);
    const isSeen = this.scroll.isAtEnd && !document.hidden;
    const isFresh = (message) => !isOwn(message) && !isHidden(message);
    if (isNews && !isSeen) this.unread.add(messages.filter(isFresh).length);
  }

  prepend(messages) {
    this.inPlace(() => this.timeline.prepend(messages));
  }

  /** Shows that a message was edited or removed. */
  change(change) {
    this.inPlace(() => this.timeline.change(change));
  }

  presence(change) {
    this.timeline.presence(change);
  }

  /** Shows that messages are missing between the current ones and the next ones. */
  gap() {
    this.timeline.gap();
  }

  get endsWithOwn() {
    return this.timeline.endsWithOwn;
  }

  /** Shows or hides messages after a change of the hidden names. */
  showHidden() {
    this.inPlace(() => this.timeline.relabel());
  }

  /** Updates all text to the page's language. */
  relabel() {
    this.timeline.relabel();
  }

  /** Shows whether the room has messages before `first`, the first loaded one. */
  showEdge({ first, hasOlder }) {
    if (first === undefined) return;
    if (hasOlder) this.timeline.tell("loading");
    else if (this.timeline.isEmpty) this.timeline.tell("empty");
    else this.timeline.tell(first === 1 ? "beginning" : "oldest");
  }

  /** Removes the oldest messages if there are too many. Returns the first loaded message if it has changed. */
  trim() {
    return this.scroll.isAtEnd ? this.timeline.trim() : undefined;
  }

  jumpToEnd() {
    this.scroll.jumpToEnd();
  }

  /** Called when the view or its content has moved. */
  moved() {
    if (this.scroll.isAtEnd && !document.hidden) this.unread.clear();
    this.jump.hidden = this.scroll.isAtEnd;
    if (this.scroll.isNear(this.timeline.edge)) this.nearEdge();
  }

  /** Updates the day separators after midnight. */
  showDays() {
    if (this.today === midnight(Date.now())) return;
    this.today = midnight(Date.now());
    this.timeline.relabel();
  }

  /** Makes a change that is not news, without moving the visible rows. */
  inPlace(change) {
    this.quietly(() => this.scroll.keepPlace(change));
  }

  /** Makes a change without announcing it to screen readers. */
  quietly(change) {
    this.area.ariaLive = "off";
    change();
    setTimeout(() => { this.area.ariaLive = null; }, 500);
  }
}
