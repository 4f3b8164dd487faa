// The rows of the message list: messages, days, joins and leaves, and the edges of the loaded history.

import { bubble, element, speaker } from "./bubble.js";
import { changed } from "./kept.js";
import { Presence } from "./presence.js";
import { day, midnight, words } from "./words.js";

/** Messages of one person within this time are grouped. */
const together = 5 * 60_000;
/** The maximum number of rows. The oldest are removed while the reader is at the end. */
const most = 8000;
const fewer = 6000;

export class Timeline {
  constructor(log, rows) {
    this.log = log;
    this.rows = rows;
    this.clear();
  }

  clear() {
    this.rows.replaceChildren();
    this.edge = this.newEdge();
  }

  get isEmpty() {
    return !this.rows.querySelector(".message");
  }

  get endsWithOwn() {
    return this.rows.lastElementChild.classList.contains("own");
  }

  /** Adds an edge above the loaded messages, which shows whether there are earlier ones. */
  newEdge() {
    const edge = element("li", "edge");
    this.rows.append(edge);
    return edge;
  }

  /** `state`: "loading", "beginning", "oldest", "empty". An edge at a gap shows that messages may be missing. */
  tell(state) {
    this.edge.dataset.state = this.edge.dataset.isGap && state !== "loading" ? "gap" : state;
    this.edge.textContent = words[this.edge.dataset.state];
  }

  /** Shows that messages are missing between the current rows and the next ones. */
  gap() {
    if (this.isEmpty) return this.clear();
    if (!this.edge.dataset.isGap) this.edge.remove();
    this.edge = this.newEdge();
    this.edge.dataset.isGap = true;
    this.tell("gap");
  }

  append(messages) {
    for (const message of messages) {
      const row = bubble(message);
      this.rows.append(row);
      this.arrange(row);
    }
  }

  prepend(messages) {
    const first = this.messageAfter(this.edge);
    const rows = messages.map((message) => bubble(message));
    this.edge.after(...rows);
    for (const row of rows) this.arrange(row);
    if (first) this.arrange(first);
  }

  /** Shows that a message was edited or removed, if it is loaded. */
  change(change) {
    const row = this.rowOf(change.message);
    if (row) this.replace(row, changed(row.message, change));
  }

  /** The row of a message below the edge: messages above a gap may have the ids of another epoch. */
  rowOf(id) {
    let row = this.rows.lastElementChild;
    while (row && row !== this.edge && row.message?.id !== id) row = row.previousElementSibling;
    return row?.message && row;
  }

  replace(row, message) {
    const again = bubble(message);
    again.classList.toggle("follows", row.classList.contains("follows"));
    row.replaceWith(again);
  }

  presence(change) {
    const last = this.rows.lastElementChild;
    const row = last.presence ? last : element("li", "event");
    row.presence = (row.presence ?? new Presence()).add(change);
    if (row.presence.isEmpty) return row.remove();
    row.replaceChildren(row.presence.content());
    this.rows.append(row);
  }

  /** Adds the day above a message, and groups the message with the previous one, where needed. */
  arrange(row) {
    const { message } = row;
    if (row.previousElementSibling?.at) row.previousElementSibling.remove();
    const before = this.messageBefore(row);
    if (!before || midnight(before.message.at) !== midnight(message.at)) row.before(dayRow(message.at));
    const isNext = before !== null && before === row.previousElementSibling;
    const isSame = isNext && speaker(message) !== undefined && speaker(message) === speaker(before.message);
    row.classList.toggle("follows", isSame && message.at - before.message.at < together);
  }

  messageBefore(row) {
    do row = row.previousElementSibling;
    while (row && !row.message);
    return row;
  }

  messageAfter(row) {
    do row = row.nextElementSibling;
    while (row && !row.message);
    return row;
  }

  /** Removes the oldest rows if there are too many. Returns the first message after the edge if the edge has moved. */
  trim() {
    if (this.rows.childElementCount <= most) return undefined;
    const kept = [...this.rows.children].slice(-fewer).find((row) => row.message);
    while (kept.previousElementSibling) this.rows.firstElementChild.remove();
    const isMoved = !this.edge.isConnected;
    if (isMoved) kept.before(this.edge);
    this.arrange(kept);
    return isMoved ? kept.message : undefined;
  }

  /** Updates all rows for another language or another day. */
  relabel() {
    for (const row of [...this.rows.children]) {
      if (row.message) this.replace(row, row.message);
      else if (row.at) row.firstChild.textContent = day(row.at);
      else if (row.presence) row.replaceChildren(row.presence.content());
      else row.textContent = words[row.dataset.state] ?? "";
    }
  }
}

function dayRow(at) {
  const row = element("li", "day");
  const text = document.createElement("span");
  text.textContent = day(at);
  row.at = at;
  row.append(text);
  return row;
}
