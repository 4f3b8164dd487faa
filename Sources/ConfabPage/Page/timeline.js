// The rows of the message list: messages, days, comings and goings, and the edges where what is known begins.

import { bubble, element, speaker } from "./bubble.js";
import { Presence } from "./presence.js";
import { day, midnight, words } from "./words.js";

/** Messages of one person that follow each other so closely are shown together. */
const together = 5 * 60_000;
/** The most rows that are kept; the oldest go when the reader is at the end. */
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

  /** Where the known messages begin: it tells whether there are more, and is above them. */
  newEdge() {
    const edge = element("li", "edge");
    this.rows.append(edge);
    return edge;
  }

  /** `state`: "loading", "beginning", "oldest", "empty". At a gap those that are over say that something is missing. */
  tell(state) {
    this.edge.dataset.state = this.edge.dataset.isGap && state !== "loading" ? "gap" : state;
    this.edge.textContent = words[this.edge.dataset.state];
  }

  /** Something is missing between what is here and what will come. */
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

  presence(change) {
    const last = this.rows.lastElementChild;
    const row = last.presence ? last : element("li", "event");
    row.presence = (row.presence ?? new Presence()).add(change);
    if (row.presence.isEmpty) return row.remove();
    row.replaceChildren(row.presence.content());
    this.rows.append(row);
  }

  /** Gives a message the day above it, and joins it to the one before it, where they belong. */
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

  /** Lets go of the oldest rows if there are very many. Returns the first message behind the edge, if that has moved. */
  trim() {
    if (this.rows.childElementCount <= most) return undefined;
    const kept = [...this.rows.children].slice(-fewer).find((row) => row.message);
    while (kept.previousElementSibling) this.rows.firstElementChild.remove();
    const isMoved = !this.edge.isConnected;
    if (isMoved) kept.before(this.edge);
    this.arrange(kept);
    return isMoved ? kept.message : undefined;
  }

  /** Says everything again, in another language or on another day. */
  relabel() {
    for (const row of [...this.rows.children]) {
      if (row.message) {
        const again = bubble(row.message);
        again.classList.toggle("follows", row.classList.contains("follows"));
        row.replaceWith(again);
      } else if (row.at) row.firstChild.textContent = day(row.at);
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
