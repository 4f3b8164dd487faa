// This tab's part in one room: joins, resumes, and passes on each message once, in order. It does not know the page's
// elements.

import { Connection } from "./connection.js";
import { remember, speakAs } from "./said.js";
import { Seat } from "./seat.js";
import { token } from "./token.js";

/** Errors about the user, not about a message. */
const refusals = ["tokenRequired", "tokenInvalid", "tokenExpired", "forbidden", "banned"];
const page = 50;
const mostAtOnce = 100;
/** The `ref` of edits and removals. */
const changeRef = "change";
/** The `ref` of a moderator's events. */
const moderateRef = "moderate";

export class Conversation {
  /**
   * `listener` has the methods `joined(welcome)`, `rejected(code, proposal)`, `refused(code, reason)`, `named(name)`,
   * `connection(state)`, `appended(messages, isNews)`, `prepended(messages)`, `changed(change)` when a message is edited
   * or removed, `unchanged()` when our own change of a message is not made, `gap()`, `edge()`, `presence(change)`,
   * `typing(name)`, `muted(mute)` when we are muted, or no longer if it is undefined, `moderated(event)` and
   * `notModerated(code)` after an event of a moderator,
   * `unsent()` when the outbox has changed, `limited(tag)`, `held(isHeld)`.
   */
  constructor(room, outbox, listener) {
    this.outbox = outbox;
    this.listener = listener;
    this.seat = new Seat(room);
    this.isIn = false;
    /** Live messages that arrived before the missed ones. */
    this.ahead = [];
    /** The shown messages of all epochs: a message that its sender had to repeat is shown once. */
    this.shown = new Set();
    const address = new URL(room, location.origin);
    address.protocol = location.protocol === "https:" ? "wss:" : "ws:";
    this.connection = new Connection(address.href, {
      opened: () => this.hello(),
      received: (event) => this.received(event),
      quiet: () => this.catchUp(),
      changed: (state) => {
        if (state !== "open") this.reset();
        listener.connection(state);
      },
    });
  }

  /** Joins with a name, or with another one after an error. */
  join(name) {
    this.name = name;
    if (this.connection.state === "open") this.hello();
    else this.connection.open();
  }

  say(text) {
    remember(this.outbox.add(text).tag);
    this.flush();
  }

  /** Edits an own message, or removes it if `text` is undefined. Returns whether the request was sent. */
  change(id, text) {
    const event = text === undefined ? { type: "remove", id } : { type: "edit", id, text };
    return this.isIn && this.connection.send({ ...event, ref: changeRef });
  }

  /** Sends an event of a moderator about a member. Returns whether it was sent. */
  moderate(type, subject, members = {}) {
    return this.isIn && this.connection.send({ type, ...subject, ...members, ref: moderateRef });
  }

  rename(name) {
    return this.connection.send({ type: "rename", name });
  }

  typing() {
    if (this.isIn) this.connection.send({ type: "typing" }, { isAnswered: false });
  }

  /** Whether the room has messages before the first loaded one. */
  get hasOlder() {
    return this.first > this.oldest;
  }

  loadOlder() {
    if (!this.isIn || this.isLoadingOlder || !this.hasOlder) return;
    this.isLoadingOlder = true;
    this.connection.send({ type: "history", before: this.first, count: page });
  }

  /** The page has removed the messages before this one. */
  forgetBefore(id) {
    this.first = id;
  }

  leave() {
    this.connection.leave();
    clearTimeout(this.pause);
  }

  hello() {
    const position = this.canResume && { epoch: this.epoch, after: this.last };
    this.connection.send({
      type: "hello", name: this.name, token: token(), session: this.seat.session, ...position, history: page,
    });
  }

  reset() {
    this.isIn = this.isCatchingUp = this.isLoadingOlder = false;
    this.ahead = [];
    this.inFlight = undefined;
  }

  received(event) {
    switch (event.type) {
      case "welcome": return this.welcomed(event);
      case "message":
      case "edited":
      case "removed": return this.take([event]);
      case "history": return "before" in event ? this.loadedOlder(event) : this.caughtUp(event);
      case "presence": return this.listener.presence(event);
      case "typing": return this.listener.typing(event.name);
      case "renamed": return this.called(event.name);
      case "muted": return this.listener.muted(event);
      case "unmuted": return this.listener.muted(undefined);
      case "kicked":
      case "banned": return this.listener.refused(event.type, event.reason);
      case "moderated": return this.listener.moderated(event);
      case "error": return this.failed(event);
      case "availability": return this.held(!event.available);
      case "moving": return this.connection.move(event.after);
    }
  }

  welcomed(welcome) {
    const isResumed = this.canResume && welcome.epoch === this.epoch && !welcome.gap;
    const isNew = this.epoch === undefined;
    this.isIn = true;
    this.connection.settle();
    this.seat.session = welcome.session;
    this.member = welcome.member;
    speakAs(this.member);
    this.called(welcome.name);
    this.listener.joined(welcome);
    this.oldest = welcome.oldest;
    this.newest = welcome.last;
    if (!isResumed) {
      if (!isNew) this.listener.gap();
      this.epoch = welcome.epoch;
      this.canResume = true;
      this.first = welcome.messages[0]?.id ?? welcome.last + 1;
      this.last = this.first - 1;
    }
    this.sent(welcome.messages);
    this.append(welcome.messages, isResumed);
    this.listener.edge();
    this.isCatchingUp = welcome.more;
    if (welcome.more) this.catchUp();
    else this.caught();
  }

  called(name) {
    this.name = name;
    this.listener.named(name);
  }

  /** Passes on new messages, or keeps them until the messages before them have arrived. */
  take(messages) {
    this.sent(messages);
    if (this.isCatchingUp) this.ahead.push(...messages);
    else this.append(messages);
    this.flush();
  }

  /** Removes our own messages from the outbox. */
  sent(messages) {
    for (const { tag, member } of messages) {
      if (tag && this.outbox.remove(tag, member)) this.listener.unsent();
      if (tag && tag === this.inFlight && member === this.member) this.inFlight = undefined;
    }
  }

  append(messages, isNews = true) {
    const next = messages.filter(({ id }) => id > this.last);
    this.last = next.at(-1)?.id ?? this.last;
    const fresh = this.notShown(next);
    if (fresh.length > 0) this.listener.appended(fresh, isNews);
    for (const event of next) if (event.type !== "message") this.listener.changed(event);
  }

  /** The messages that are to be shown. Those of the history already have their newest text. */
  notShown(messages) {
    return messages.filter(({ type, from, member, tag }) => {
      if (type !== "message") return false;
      if (!tag) return true;
      const mark = `${tag} ${member ?? from}`;
      return !this.shown.has(mark) && this.shown.add(mark);
    });
  }

  /** Requests the messages after the last one. On an idle connection this also checks that the server replies. */
  catchUp() {
    if (!this.isIn) return;
    this.asked = this.last;
    this.connection.send({ type: "history", after: this.last, count: mostAtOnce });
  }

  caughtUp({ after, messages, more }) {
    if (after !== this.asked) return;
    this.sent(messages);
    this.append(messages);
    if (!this.isCatchingUp) return this.flush();
    if (!more) return this.caught();
    if (this.last > after) this.catchUp();
    else this.startOver();
  }

  caught() {
    this.isCatchingUp = false;
    this.last = Math.max(this.last, this.newest);
    this.append(this.ahead);
    this.ahead = [];
    this.flush();
  }

  /** The missing messages are gone: rejoins without a position, which leaves a gap. */
  startOver() {
    this.canResume = false;
    this.connection.retry();
  }

  loadedOlder({ before, messages, oldest }) {
    if (before !== this.first) return;
    this.isLoadingOlder = false;
    this.first = messages[0]?.id ?? this.first;
    this.oldest = messages.length > 0 ? oldest : this.first;
    const older = this.notShown(messages);
    this.listener.prepended(older);
    this.listener.edge();
    if (older.length === 0) this.loadOlder();
  }

  /** Sends the next message of the outbox. */
  flush() {
    const entry = this.outbox.next;
    if (!entry || !this.isIn || this.isCatchingUp || this.inFlight || this.pause) return;
    // Saved first, because the tab may be closed before the reply.
    this.outbox.saidBy(entry, this.member);
    if (this.connection.send({ type: "say", tag: entry.tag, text: entry.text })) this.inFlight = entry.tag;
  }

  failed({ code, tag, ref, proposal, reason, retryAfter = 1000 }) {
    if (ref === changeRef) return this.listener.unchanged();
    if (ref === moderateRef) return this.listener.notModerated(code);
    if (tag && tag === this.inFlight) this.inFlight = undefined;
    if (code === "rateLimited") this.wait(retryAfter, tag);
    else if (code === "nameTaken" || code === "nameInvalid") this.listener.rejected(code, proposal);
    else if (refusals.includes(code) && !tag) this.listener.refused(code, reason);
    else if (code === "historyGone") this.historyIsGone();
    else if (tag) {
      this.outbox.fail(tag, code);
      this.listener.unsent();
      this.flush();
    }
  }

  historyIsGone() {
    if (this.isLoadingOlder) {
      this.isLoadingOlder = false;
      this.oldest = this.first;
      this.listener.edge();
    } else if (this.isCatchingUp) this.startOver();
  }

  /** Called when the server begins or stops to hold messages, because it cannot give them ids. */
  held(isHeld) {
    this.connection.hold(isHeld);
    this.listener.held(isHeld);
  }

  /** Rate limited: repeats the pending requests later. */
  wait(duration, tag) {
    const wasIn = this.isIn;
    if (tag) this.listener.limited(tag);
    clearTimeout(this.pause);
    this.pause = setTimeout(() => {
      this.pause = undefined;
      if (!wasIn) return this.hello();
      if (this.isCatchingUp) this.catchUp();
      if (this.isLoadingOlder) this.connection.send({ type: "history", before: this.first, count: page });
      this.flush();
    }, duration);
  }
}
