// Sends the unsent messages of a room, one at a time, so that they stay in order.

export class Sender {
  /** The tag of the message that waits for a reply. */
  inFlight = undefined;
  /** The tag of a message that was sent too fast. */
  limited = undefined;

  /** `send(event)` returns whether it was sent; `changed()` is called when unsent messages or their states change. */
  constructor(outbox, { send, changed }) {
    this.outbox = outbox;
    this.send = send;
    this.changed = changed;
  }

  /** Sends the next message as `member`. */
  flush(member) {
    const entry = this.outbox.next;
    if (!entry || this.inFlight) return;
    // Saved first, because the tab may be closed before the reply.
    this.outbox.saidBy(entry, member);
    if (this.send({ type: "say", tag: entry.tag, text: entry.text })) this.inFlight = entry.tag;
  }

  /** Removes messages that have come back. `member` is the reader's. */
  received(messages, member) {
    for (const message of messages) {
      const { tag } = message;
      if (!tag) continue;
      if (tag === this.inFlight && message.member === member) this.inFlight = undefined;
      if (!this.outbox.remove(tag, message.member)) continue;
      this.limited = undefined;
      this.changed();
    }
  }

  /** The message was rejected, with the error's code. */
  rejected(tag, code) {
    this.answered(tag);
    this.outbox.fail(tag, code);
    this.limited = undefined;
    this.changed();
  }

  /** The message was sent too fast. It stays the next one. */
  tooFast(tag) {
    this.answered(tag);
    this.limited = tag;
    this.changed();
  }

  answered(tag) {
    if (tag === this.inFlight) this.inFlight = undefined;
  }

  /** The connection is lost, or the reader has left the room: it is unknown whether the message was published. */
  reset() {
    this.inFlight = undefined;
  }
}
