// The list of visited rooms, and a field to open another one.

import { Outbox } from "./outbox.js";
import { hashOf, nameOf, pathOf } from "./room.js";
import { local } from "./storage.js";
import { words } from "./words.js";

/** The maximum number of rooms in the list, besides the lobby. */
const most = 11;
const mostUnread = 99;

export class Rooms {
  /** By path. The rows stay while the list changes, so that the keyboard's focus stays, too. */
  rows = new Map();

  /** `unread(room)` returns the number of unread messages; `removed()` is called when a room was taken off the list. */
  constructor(list, form, { unread, removed }) {
    this.list = list;
    this.unread = unread;
    this.removed = removed;
    this.field = form.elements.room;
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      location.hash = hashOf(pathOf(this.field.value.replace(/^#/, "")));
      this.field.value = "";
    });
  }

  /** The rooms of the list, without the lobby. */
  get others() {
    return local.get("rooms") ?? [];
  }

  /** The rooms that the reader has visited: the lobby is in the list even before. */
  get visited() {
    return local.get("lobby") ? ["/", ...this.others] : this.others;
  }

  enter(room) {
    this.current = room;
    if (room === "/") local.set("lobby", true);
    else if (!this.others.includes(room)) local.set("rooms", [room, ...this.others].slice(0, most));
    this.show();
  }

  /** Takes a room off the list. The focus moves to the next room, or to the field. */
  remove(room) {
    const next = this.rows.get(room).nextElementSibling?.querySelector("a") ?? this.field;
    local.set("rooms", this.others.filter((other) => other !== room));
    this.show();
    next.focus();
    this.removed();
  }

  show() {
    const unsent = Outbox.counts();
    const rooms = ["/", ...this.others];
    this.rows = new Map(rooms.map((room) => [room, this.rows.get(room) ?? this.row(room)]));
    for (const [room, row] of this.rows) this.update(room, row, unsent.get(room) ?? 0);
    const { children } = this.list;
    const rows = [...this.rows.values()];
    const isSame = rows.length === children.length && rows.every((row, index) => row === children[index]);
    if (!isSame) this.list.replaceChildren(...rows);
  }

  row(room) {
    const row = document.createElement("li");
    const link = document.createElement("a");
    link.href = hashOf(room);
    link.append(document.createElement("bdi"));
    row.append(link);
    if (room !== "/") row.append(this.button(room));
    return row;
  }

  button(room) {
    const button = document.createElement("button");
    button.type = "button";
    button.className = "icon";
    button.append(document.getElementById("close-side").querySelector("svg").cloneNode(true));
    button.addEventListener("click", () => this.remove(room));
    return button;
  }

  update(room, row, unsent) {
    const [link, button] = row.children;
    const count = this.unread(room);
    const unread = Math.min(count, mostUnread);
    const more = count > mostUnread ? "+" : "";
    const isCurrent = room === this.current;
    link.ariaCurrent = isCurrent ? "page" : null;
    link.firstChild.textContent = nameOf(room);
    link.replaceChildren(link.firstChild);
    if (!isCurrent && unsent > 0) link.append(...mark("unsent", `${unsent}`, words.unsent(unsent)));
    if (!isCurrent && unread > 0) link.append(...mark("unread", `${unread}${more}`, words.unread(unread, more)));
    if (!button) return;
    button.hidden = isCurrent;
    button.ariaLabel = button.title = words.removeRoom(nameOf(room));
  }
}

/** A number beside a room's name, and what it means for screen readers. */
function mark(kind, number, meaning) {
  const visible = document.createElement("span");
  const spoken = document.createElement("span");
  visible.className = `mark ${kind}`;
  visible.ariaHidden = "true";
  visible.textContent = number;
  visible.title = meaning;
  spoken.className = "spoken";
  spoken.textContent = `, ${meaning}`;
  return [visible, spoken];
}
