// The list of visited rooms, and a field to open another one.

import { Outbox } from "./outbox.js";
import { hashOf, nameOf, pathOf } from "./room.js";
import { local } from "./storage.js";
import { words } from "./words.js";

const most = 12;

export class Rooms {
  constructor(list, form) {
    this.list = list;
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      const field = form.elements.room;
      location.hash = hashOf(pathOf(field.value.replace(/^#/, "")));
      field.value = "";
    });
  }

  enter(room) {
    this.current = room;
    const known = local.get("rooms") ?? [];
    const rooms = known.includes(room) || room === "/" ? known : [room, ...known].slice(0, most);
    local.set("rooms", rooms);
    this.show();
  }

  show() {
    const waiting = Outbox.counts();
    this.list.replaceChildren(...["/", ...(local.get("rooms") ?? [])].map((room) => this.row(room, waiting.get(room))));
  }

  row(room, waiting) {
    const item = document.createElement("li");
    const link = document.createElement("a");
    const name = document.createElement("bdi");
    link.href = hashOf(room);
    name.textContent = nameOf(room);
    link.append(name);
    if (room === this.current) link.ariaCurrent = "page";
    else if (waiting) {
      const mark = document.createElement("span");
      mark.className = "mark";
      mark.textContent = waiting;
      mark.title = words.unsent(waiting);
      link.append(mark);
    }
    item.append(link);
    return item;
  }
}
