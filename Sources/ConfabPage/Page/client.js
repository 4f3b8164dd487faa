// This tab's connection to the server, for all rooms that the page follows. The path of the socket is one of the rooms,
// and the client enters the others. Each event goes to the conversation of its room. The client does not know the
// page's elements.

import { Connection } from "./connection.js";
import { Conversation } from "./conversation.js";
import { token } from "./token.js";

/** The room's name in events. */
const named = (room) => decodeURIComponent(room);
/** The `ref` of a `leave`. */
const leaveRef = "leave";

export class Client {
  /** The conversations by the names of their rooms in events. */
  conversations = new Map();
  /** The paths of the rooms to follow. */
  rooms = [];
  /** The conversation of the socket's path. */
  home = undefined;
  /** The conversation that the page shows. */
  shown = undefined;
  /** The names of rooms that the client leaves: their events are ignored until the server confirms that. */
  leaving = new Set();
  /** The number of times that the client has entered a room. */
  entries = 0;
  /** The maximum number of rooms of the connection: servers of an earlier version have only the room of the path. */
  most = 1;

  /** `marked()` is called when a room in the background has another number of unread or unsent messages. */
  constructor({ marked }) {
    this.marked = marked;
    this.connection = new Connection(() => this.nextAddress(), {
      opened: () => this.hello(),
      received: (event) => this.received(event),
      quiet: () => this.check(),
      changed: (state) => this.changed(state),
    });
  }

  /** Returns the conversation of a room, which is a path. */
  conversation(room) {
    const name = named(room);
    if (!this.conversations.has(name)) this.conversations.set(name, new Conversation(room, this));
    return this.conversations.get(name);
  }

  /** The number of unread messages in a room. */
  unread(room) {
    return this.conversations.get(named(room))?.messages.unread ?? 0;
  }

  /** Shows a room instead of another one. The reader joins it by `join`. */
  show(conversation, listener) {
    clearTimeout(this.joining);
    this.shown?.hide();
    this.shown = conversation;
    conversation.show(listener);
  }

  /** Follows these rooms besides the shown one, and leaves all others. */
  follow(rooms) {
    this.rooms = rooms;
    for (const room of rooms) if (!this.conversations.has(named(room))) this.conversation(room).inherit();
    for (const conversation of [...this.conversations.values()]) {
      const isUsed = conversation === this.shown || conversation === this.home;
      if (!isUsed && !rooms.includes(conversation.room)) this.leave(conversation);
    }
    this.enterNext();
  }

  leave(conversation) {
    const name = named(conversation.room);
    if (conversation.isIn || conversation.entering) {
      this.send(conversation, { type: "leave", ref: leaveRef });
      this.leaving.add(name);
    }
    conversation.reset();
    this.conversations.delete(name);
  }

  /** Joins the shown room: enters it, or connects with its path. */
  join(conversation) {
    conversation.refusal = undefined;
    if (conversation.isIn || conversation.entering) return;
    if (this.canEnter(conversation)) this.enter(conversation);
    else if (conversation === this.home && this.connection.state === "open") this.hello();
    else this.connection.open();
  }

  /** Joins a room again that was rejected for the moment. */
  joinLater(conversation, pause) {
    if (conversation !== this.shown) return this.enterNext(pause);
    clearTimeout(this.joining);
    this.joining = setTimeout(() => this.join(conversation), pause);
  }

  /** Leaves a room and joins it again. */
  restart(conversation) {
    if (conversation === this.home) return this.connection.retry();
    this.leave(conversation);
    this.conversations.set(named(conversation.room), conversation);
    this.enter(conversation);
  }

  /** Sends an event about a room. Returns whether there is an open connection. */
  send(conversation, event, options) {
    const room = conversation === this.home ? undefined : named(conversation.room);
    return this.connection.send({ ...event, room }, options);
  }

  hello() {
    this.connection.send({ type: "hello", token: token(), ...this.home.greeting });
  }

  enter(conversation) {
    this.entries += 1;
    conversation.entering = `enter-${this.entries}`;
    // The server may have to open the room, which may take longer than other replies.
    const options = { isAnswered: conversation === this.shown };
    this.send(conversation, { type: "enter", ...conversation.greeting, ref: conversation.entering }, options);
  }

  /** Whether the connection has a place for the room. */
  canEnter(conversation) {
    if (!this.home?.isIn) return false;
    const others = [...this.conversations.values()].filter((other) => other !== conversation);
    return others.filter(({ isIn, entering }) => isIn || entering).length < this.most;
  }

  /** The next room to enter in the background: rooms with unsent messages come first. */
  get next() {
    const absent = this.rooms.map((room) => this.conversation(room)).filter(
      (one) => one !== this.shown && !one.isIn && !one.entering && !one.refusal);
    return absent.find(({ outbox }) => outbox.next) ?? absent[0];
  }

  /** Enters the rooms in the background, one after the other. The pauses leave half of the rate to other events. */
  enterNext(pause = this.pause) {
    clearTimeout(this.timer);
    this.timer = setTimeout(() => {
      const { next } = this;
      if (!next || !this.canEnter(next)) return;
      this.enter(next);
      this.enterNext();
    }, pause);
  }

  /** Returns the address for the next attempt to connect. Its path is the shown room, if the reader may be there. */
  nextAddress() {
    if (!this.shown.refusal) this.home = this.shown;
    const address = new URL(this.home.room, location.origin);
    address.protocol = location.protocol === "https:" ? "wss:" : "ws:";
    return address.href;
  }

  changed(state) {
    if (state !== "open") {
      for (const conversation of this.conversations.values()) conversation.reset();
      this.leaving.clear();
      clearTimeout(this.timer);
      clearTimeout(this.joining);
    }
    if (state === "refused" && this.home !== this.shown && !this.shown.refusal) {
      // Only the room of the path does not admit the reader.
      this.home.refusal ??= { code: "forbidden" };
      return this.connection.retry();
    }
    this.shown.listener.connection(this.shown.state);
  }

  received(event) {
    if (event.type === "moving") return this.connection.move(event.after);
    const { type, room, ref } = event;
    if (!this.leaving.has(room)) return this.addressee(event)?.received(event);
    if (type === "left" || (type === "error" && ref === leaveRef)) this.leaving.delete(room);
  }

  /** The conversation that an event is about. Before its welcome, all events are about the room of the path. */
  addressee({ room, ref }) {
    if (!this.home.isIn) return this.home;
    if (room !== undefined) return this.conversations.get(room);
    // An error about a name that is not that of a room has no room.
    return [...this.conversations.values()].find(({ entering }) => entering && entering === ref) ?? this.home;
  }

  welcomed(conversation) {
    if (conversation !== this.home) return;
    const { rooms = 1, rate = 0 } = conversation.limits ?? {};
    this.connection.settle();
    this.most = rooms;
    this.pause = rate > 0 ? 2000 / rate : 0;
    this.enterNext();
  }

  /** The reader may not be in a room. The server closes the connection if it is the room of the path. */
  refused(conversation) {
    if (conversation !== this.home) conversation.listener?.connection("refused");
    else if (conversation !== this.shown) this.connection.end("refused");
  }

  /** The connection has no place for the shown room: connects with its path. */
  reconnect() {
    this.connection.open();
  }

  /** The server begins or stops to hold messages of a room. */
  held() {
    this.connection.hold([...this.conversations.values()].some(({ isHeld }) => isHeld));
  }

  /** Checks that the server replies. */
  check() {
    const conversation = this.shown.isIn ? this.shown : this.home;
    if (conversation.isIn) conversation.messages.catchUp();
  }
}
