// This tab's part in one room: joins, sends, and passes on what happens. It does not know the page's elements.

import { Members } from "./members.js";
import { Messages } from "./messages.js";
import { Outbox } from "./outbox.js";
import { remember, speakAs } from "./said.js";
import { Seat } from "./seat.js";
import { Sender } from "./sender.js";

/** Errors because of which the reader is not in the room. */
const refusals = ["tokenRequired", "tokenInvalid", "tokenExpired", "forbidden", "banned", "roomInvalid", "unavailable"];
/** Errors of a connection that has no place for the room. */
const full = ["tooManyRooms", "unknownType"];
/** Refusals that may not apply any more on the next connection. */
const passing = ["unavailable", "nameTaken", "nameInvalid", ...full];
/** The `ref` of edits and removals. */
const changeRef = "change";
/** The `ref` of a moderator's events. */
const moderateRef = "moderate";
/** The `ref` of a rename for which the reader has not asked in this room. */
const followRef = "follow";

export class Conversation {
  /** Whether the server has welcomed the reader to the room. */
  isIn = false;
  /** The `ref` of the `enter` to which the server has not replied yet. */
  entering = undefined;
  /** Why the reader may not be in the room: the `code` of an error or the type of an event, and perhaps a `reason`. */
  refusal = undefined;
  members = new Members();

  /** `room` is the path. */
  constructor(room, client) {
    this.room = room;
    this.client = client;
    this.outbox = new Outbox(room);
    this.seat = new Seat(room);
    this.sender = new Sender(this.outbox, {
      send: (event) => this.send(event),
      changed: () => (this.listener ? this.listener.unsent() : client.marked()),
    });
    this.messages = new Messages({
      request: (event) => this.send(event),
      restart: () => client.restart(this),
    });
  }

  /**
   * Shows the room, until `hide`. `listener` has the methods of a listener of messages, and `joined()`,
   * `rejected(code, proposal)`, `refused(code, reason)`, `named(name)`, `connection(state)`, `unchanged()` when our own
   * change of a message is not made, `presence(change)`, `typing(name)`, `muted(mute)` when we are muted, or no longer
   * if it is undefined, `notRenamed()` when we are muted and have sent another name, `moderated(event)` and `notModerated(code)` after an event of a moderator, `unsent()` when unsent
   * messages or their states have changed, and `held(isHeld)`.
   */
  show(listener) {
    this.listener = listener;
    if (this.isIn) listener.joined();
    if (this.mute) listener.muted(this.mute);
    this.messages.show(listener);
    this.inherit();
  }

  hide() {
    this.listener = undefined;
    this.messages.hide();
  }

  /** Takes over the unsent messages of closed tabs. */
  async inherit() {
    await this.outbox.inherit();
    this.sender.changed();
    this.flush();
  }

  /** The state of the connection, or "refused" if the reader may not be in the room. */
  get state() {
    return this.refusal ? "refused" : this.client.connection.state;
  }

  /** Joins with a name, or with another one after an error. */
  join(name) {
    this.name = name;
    this.client.join(this);
  }

  /** Ends the connection until the reader has a name, because the server closes those that do not join in time. */
  postpone() {
    this.client.connection.end();
  }

  send(event, options) {
    return this.client.send(this, event, options);
  }

  say(text) {
    remember(this.outbox.add(text).tag);
    this.flush();
  }

  /** Sends the next unsent message. */
  flush() {
    if (this.isIn && !this.messages.isCatchingUp && !this.pause) this.sender.flush(this.member);
  }

  /** Edits an own message, or removes it if `text` is undefined. Returns whether the request was sent. */
  change(id, text) {
    const event = text === undefined ? { type: "remove", id } : { type: "edit", id, text };
    return this.isIn && this.send({ ...event, ref: changeRef });
  }

  /** Sends an event of a moderator about a member. Returns whether it was sent. */
  moderate(type, subject, members = {}) {
    return this.isIn && this.send({ type, ...subject, ...members, ref: moderateRef });
  }

  rename(name) {
    return this.isIn && this.send({ type: "rename", name });
  }

  /** Takes the name that the reader has chosen in another room, if it is free. */
  follow(name) {
    if (name !== this.name) this.send({ type: "rename", name, ref: followRef });
  }

  typing() {
    if (this.isIn) this.send({ type: "typing" }, { isAnswered: false });
  }

  loadOlder() {
    if (this.isIn) this.messages.loadOlder();
  }

  /** The members of a hello, or of an `enter`. */
  get greeting() {
    const { position, count } = this.messages;
    return { name: this.name, session: this.seat.session, ...position, history: count };
  }

  /** The reader is not in the room any more, because the connection is lost, or the client has left the room. */
  reset() {
    this.isIn = this.isHeld = false;
    this.entering = this.mute = undefined;
    if (passing.includes(this.refusal?.code)) this.refusal = undefined;
    this.messages.reset();
    this.sender.reset();
    clearTimeout(this.pause);
    this.pause = undefined;
  }

  received(event) {
    if (event.type === "welcome") return this.welcomed(event);
    if (event.type === "error") return this.isIn ? this.failed(event) : this.rejected(event);
    if (!this.isIn) return;
    switch (event.type) {
      case "message":
      case "edited":
      case "removed": return this.take([event], () => this.messages.take([event]));
      case "history": return this.take(event.messages, () => this.messages.received(event));
      case "presence": return this.presence(event);
      case "typing": return this.listener?.typing(event.name);
      case "renamed": return this.called(event.name);
      case "muted": return this.muted(event);
      case "unmuted": return this.muted(undefined);
      case "kicked":
      case "banned": return this.refuse({ code: event.type, reason: event.reason });
      case "left": return this.left();
      case "moderated": return this.listener?.moderated(event);
      case "availability": return this.held(!event.available);
    }
  }

  welcomed(welcome) {
    this.isIn = true;
    this.entering = undefined;
    this.seat.session = welcome.session;
    this.member = welcome.member;
    speakAs(this.member);
    ({ limits: this.limits, rights: this.rights } = welcome);
    this.members.welcome(welcome);
    this.called(welcome.name);
    this.listener?.joined();
    this.take(welcome.messages, () => this.messages.welcomed(welcome));
    this.client.welcomed(this);
  }

  called(name) {
    this.name = name;
    this.members.rename(name);
    this.listener?.named(name);
  }

  /** Passes on messages. Our own ones are not unsent any more, and the next one may be sent. */
  take(messages, passOn) {
    this.sender.received(messages, this.member);
    const { unread } = this.messages;
    passOn();
    if (this.messages.unread !== unread) this.client.marked();
    this.flush();
  }

  presence(change) {
    const news = this.members.change(change);
    this.listener?.presence(news);
  }

  muted(mute) {
    this.mute = mute;
    this.listener?.muted(mute);
  }

  /** The server begins or stops to hold messages, because it cannot give them ids. */
  held(isHeld) {
    this.isHeld = isHeld;
    this.client.held();
    this.listener?.held(isHeld);
  }

  failed({ code, tag, ref, proposal, reason, retryAfter = 1000 }) {
    if (ref === changeRef) return this.listener?.unchanged();
    if (ref === moderateRef) return this.listener?.notModerated(code);
    if (ref === followRef) return;
    if (code === "rateLimited") this.wait(retryAfter, tag);
    else if (code === "nameTaken" || code === "nameInvalid") this.listener?.rejected(code, proposal);
    else if (code === "historyGone") this.messages.gone(ref);
    else if (tag) {
      this.sender.rejected(tag, code);
      this.flush();
    } else if (code === "muted") this.listener?.notRenamed();
    else if (refusals.includes(code)) this.listener?.refused(code, reason);
  }

  /** Rate limited: repeats the pending requests later. */
  wait(duration, tag) {
    if (tag) this.sender.tooFast(tag);
    clearTimeout(this.pause);
    this.pause = setTimeout(() => {
      this.pause = undefined;
      this.messages.repeat();
      this.flush();
    }, duration);
  }

  /** The server has rejected the hello, or the `enter`. */
  rejected({ code, ref, proposal, reason, retryAfter = 1000 }) {
    // An event that was sent before the reader was kicked.
    if (ref !== this.entering) return;
    this.entering = undefined;
    const isName = code === "nameTaken" || code === "nameInvalid";
    if (code === "rateLimited") this.client.joinLater(this, retryAfter);
    else if (isName && this.listener) this.listener.rejected(code, proposal);
    else if (full.includes(code) && this.listener) this.client.reconnect();
    else if (isName || full.includes(code) || refusals.includes(code)) this.refuse({ code, reason });
  }

  refuse(refusal) {
    this.refusal = refusal;
    this.listener?.refused(refusal.code, refusal.reason);
    this.client.refused(this);
  }

  /** The reader is not in the room any more, and the connection is still open. */
  left() {
    this.reset();
    this.refuse(this.refusal ?? { code: "forbidden" });
  }
}
