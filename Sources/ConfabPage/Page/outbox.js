// Unsent messages of a room. They are kept until they come back with their tags.

import { local } from "./storage.js";
import { inherit, own, randomId } from "./tab.js";

/** Messages of closed tabs that are older than this, in milliseconds, are sent only on request. */
const patience = 60 * 60 * 1000;

export class Outbox {
  /**
   * Messages `{ tag, text, at, members?, failed? }` in the order of writing. `members` are the members that have sent
   * the message, in this tab or in a closed tab; `failed` is the reason of a failure.
   */
  entries = [];

  constructor(room) {
    this.name = own("unsent", room);
    this.room = room;
    this.entries = local.get(this.name) ?? [];
  }

  /** Takes over the messages of closed tabs. */
  async inherit(now = Date.now()) {
    const left = (await inherit("unsent", this.room)).flat();
    if (left.length === 0) return;
    for (const entry of left) if (now - entry.at > patience) entry.failed ??= "stale";
    this.entries = [...left, ...this.entries].sort((one, other) => one.at - other.at);
    this.save();
  }

  add(text, at = Date.now()) {
    const entry = { tag: randomId(), text, at };
    this.entries.push(entry);
    this.save();
    return entry;
  }

  /** The message to send now. Only one message is in flight, so that the order is kept. */
  get next() {
    return this.entries.find((entry) => !entry.failed);
  }

  /** Records the sending member. */
  saidBy(entry, member) {
    if (entry.members?.includes(member)) return;
    entry.members = [...(entry.members ?? []), member];
    this.save();
  }

  /** Removes a message that `member` has sent, or a discarded message without `member`. Returns whether it was here. */
  remove(tag, member) {
    const count = this.entries.length;
    this.entries = this.entries.filter((entry) => entry.tag !== tag || (member && !entry.members?.includes(member)));
    if (this.entries.length === count) return false;
    this.save();
    return true;
  }

  /** Marks a message as failed: `reason` is the error's code, or `undefined` to try again. */
  fail(tag, reason) {
    const entry = this.entries.find((entry) => entry.tag === tag);
    if (!entry) return;
    entry.failed = reason;
    this.save();
  }

  save() {
    local.set(this.name, this.entries);
  }

  /** The number of unsent messages in each room of this tab. */
  static counts() {
    const counts = new Map();
    const start = own("unsent", "");
    for (const name of local.names(`${start}/`)) counts.set(name.slice(start.length), local.get(name).length);
    return counts;
  }
}
