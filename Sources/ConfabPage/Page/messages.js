// The messages of one room: passes on each once, in order, without gaps that it does not report. In the background it
// only keeps the newest ones, and counts the unread ones.

import { isHidden } from "./hidden.js";
import { Kept, mark } from "./kept.js";
import { isFromBrowser } from "./said.js";

const page = 50;
const mostAtOnce = 100;
/** The `ref` of a request for older messages. */
const olderRef = "older";

export class Messages {
  kept = new Kept();
  /** Marks of the loaded messages of all epochs: a message that its sender had to repeat is loaded once. */
  loaded = new Set();
  /** Live messages that arrived before the missed ones. */
  ahead = [];
  /** The number of unread messages of others since the room was hidden. */
  unread = 0;
  /** Whether the messages up to the last one are loaded, so that the next welcome can follow it. */
  canResume = false;
  isCatchingUp = false;
  isLoadingOlder = false;
  /** The time of the newest message: in another epoch, later ones are unread. */
  newestAt = Infinity;

  /** `request(event)` requests a part of the history; `restart()` joins again without a position. */
  constructor({ request, restart }) {
    this.request = request;
    this.restart = restart;
  }

  /**
   * Shows the room: passes on the kept messages, and from now on new ones. `listener` has the methods
   * `appended(messages, isNews)`, `prepended(messages)`, `changed(change)` when a message is edited or removed, `gap()`
   * if messages are missing before the next ones, and `edge()` when there may be other older messages than before.
   */
  show(listener) {
    this.listener = listener;
    this.unread = 0;
    this.loadKept();
    if (this.first === undefined) return;
    if (this.kept.messages.length > 0) listener.appended(this.kept.messages, false);
    listener.edge();
  }

  hide() {
    this.listener = undefined;
    this.loadKept();
  }

  /** From now on, only the kept messages are loaded. */
  loadKept() {
    this.isLoadingOlder = false;
    this.loaded = this.kept.marks;
    if (this.last !== undefined) this.first = this.kept.messages[0]?.id ?? this.last + 1;
  }

  /** The position to resume from, if there is one. */
  get position() {
    return this.canResume ? { epoch: this.epoch, after: this.last } : undefined;
  }

  /** The number of messages to request. A room in the background loads its messages when it is shown. */
  get count() {
    return this.listener || this.canResume ? page : 1;
  }

  /** Whether the room has messages before the first loaded one. */
  get hasOlder() {
    return this.first > this.oldest;
  }

  welcomed(welcome) {
    const isResumed = this.canResume && welcome.epoch === this.epoch && !welcome.gap;
    const isNew = this.epoch === undefined;
    this.oldest = welcome.oldest;
    this.newest = welcome.last;
    if (!isResumed) {
      if (!isNew) this.gap();
      this.epoch = welcome.epoch;
      this.canResume = true;
      this.first = welcome.messages[0]?.id ?? welcome.last + 1;
      this.last = this.first - 1;
    }
    this.append(welcome.messages, isResumed);
    if (welcome.last === 0) this.newestAt = 0;
    this.listener?.edge();
    this.isCatchingUp = true;
    this.goOn(welcome.more);
  }

  /** The kept messages are before the gap, so they cannot be shown together with the next ones later. */
  gap() {
    this.kept.clear();
    this.listener?.gap();
  }

  /** Passes on new messages and changes, or keeps them until the messages before them have arrived. */
  take(messages) {
    if (this.isCatchingUp) this.ahead.push(...messages);
    else this.append(messages);
  }

  append(messages, isNews = true) {
    const { newestAt } = this;
    const next = messages.filter(({ id }) => id > this.last);
    if (next.length > 0) ({ id: this.last, at: this.newestAt } = next.at(-1));
    const fresh = this.notLoaded(next);
    const changes = next.filter(({ type }) => type !== "message");
    // Those that are loaded above a gap, too: only the messages below it are kept.
    this.kept.add(next.filter(({ type }) => type === "message"));
    for (const change of changes) this.kept.change(change);
    if (!this.listener) return this.keep(fresh.filter(({ at }) => isNews || at > newestAt));
    if (fresh.length > 0) this.listener.appended(fresh, isNews);
    for (const change of changes) this.listener.changed(change);
  }

  /** The room is in the background. `unread` are its new messages. */
  keep(unread) {
    this.loadKept();
    this.unread += unread.filter((message) => !isFromBrowser(message) && !isHidden(message)).length;
  }

  /** The messages that are not loaded yet. Those of the history already have their newest text. */
  notLoaded(messages) {
    return messages.filter((message) => {
      if (message.type !== "message") return false;
      if (!message.tag) return true;
      return !this.loaded.has(mark(message)) && this.loaded.add(mark(message));
    });
  }

  /** Requests the messages after the last one. On an idle connection this also checks that the server replies. */
  catchUp() {
    this.asked = this.last;
    this.request({ type: "history", after: this.last, count: mostAtOnce });
  }

  /** A part of the history has arrived. */
  received(event) {
    if ("before" in event) return this.loadedOlder(event);
    const { after, messages, more } = event;
    if (after !== this.asked) return;
    this.append(messages);
    if (!this.isCatchingUp) return;
    if (more && this.last === after) return this.startOver();
    this.goOn(more);
  }

  /** Continues with the next missed messages. A room in the background skips them. */
  goOn(more) {
    if (more && this.listener) return this.catchUp();
    if (more) this.skip();
    this.isCatchingUp = false;
    this.last = Math.max(this.last, this.newest);
    this.append(this.ahead);
    this.ahead = [];
  }

  /** The skipped messages are loaded when the reader scrolls up to them. */
  skip() {
    this.kept.clear();
    this.unread = Math.max(this.unread, mostAtOnce);
  }

  loadOlder() {
    if (this.isLoadingOlder || !this.hasOlder) return;
    this.isLoadingOlder = true;
    this.requestOlder();
  }

  requestOlder() {
    this.request({ type: "history", before: this.first, count: page, ref: olderRef });
  }

  loadedOlder({ before, messages, oldest }) {
    if (!this.isLoadingOlder || before !== this.first) return;
    this.isLoadingOlder = false;
    this.first = messages[0]?.id ?? this.first;
    this.oldest = messages.length > 0 ? oldest : this.first;
    const older = this.notLoaded(messages);
    this.listener.prepended(older);
    this.listener.edge();
    if (older.length === 0) this.loadOlder();
  }

  /** The page has removed the messages before this one. */
  forgetBefore(id) {
    this.first = id;
  }

  /** The server has deleted the messages that the request with this `ref` was about. */
  gone(ref) {
    if (ref === olderRef && this.isLoadingOlder) {
      this.isLoadingOlder = false;
      this.oldest = this.first;
      this.listener.edge();
    } else if (ref !== olderRef && this.isCatchingUp) this.startOver();
  }

  /** The missed messages are gone: joins again without a position, which leaves a gap. */
  startOver() {
    this.canResume = false;
    this.restart();
  }

  /** Sends the pending requests again, because they were sent too fast. */
  repeat() {
    if (this.isCatchingUp) this.catchUp();
    if (this.isLoadingOlder) this.requestOlder();
  }

  /** The reader is not in the room any more: pending requests get no reply. */
  reset() {
    this.isCatchingUp = this.isLoadingOlder = false;
    this.ahead = [];
  }
}
