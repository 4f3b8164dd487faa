// What has been written in a room and is not known to be said: kept until it comes back with its tag.

import { local } from "./storage.js";
import { inherit, own, randomId } from "./tab.js";

/** What a closed tab left behind for longer is not sent unless the reader wants it. */
const patience = 60 * 60 * 1000;

export class Outbox {
  /**
   * Messages `{ tag, text, at, members?, failed? }` in the order they were written: `members` are those who have said it, in
   * this tab or in one that is gone; `failed` is the reason.
   */
  entries = [];

  constructor(room) {
    this.name = own("unsent", room);
    this.room = room;
    this.entries = local.get(this.name) ?? [];
  }

  /** Takes over what tabs that are gone have left. */
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

  /** The one to be sent now: one at a time, so that they are said in order. */
  get next() {
    return this.entries.find((entry) => !entry.failed);
  }

  /** Notes who says it. */
  saidBy(entry, member) {
    if (entry.members?.includes(member)) return;
    entry.members = [...(entry.members ?? []), member];
    this.save();
  }

  /** It has been said by `member`, or, without one, is not wanted any more. Returns whether it was here. */
  remove(tag, member) {
    const count = this.entries.length;
    this.entries = this.entries.filter((entry) => entry.tag !== tag || (member && !entry.members?.includes(member)));
    if (this.entries.length === count) return false;
    this.save();
    return true;
  }

  /** It will not be said as it is: `reason` is the error's code, or `undefined` to try again. */
  fail(tag, reason) {
    const entry = this.entries.find((entry) => entry.tag === tag);
    if (!entry) return;
    entry.failed = reason;
    this.save();
  }

  save() {
    local.set(this.name, this.entries);
  }

  /** How many messages wait in each room of this tab. */
  static counts() {
    const counts = new Map();
    const start = own("unsent", "");
    for (const name of local.names(`${start}/`)) counts.set(name.slice(start.length), local.get(name).length);
    return counts;
  }
}
