// The list of people in the room, and their number.

import { hides } from "./hidden.js";
import { avatar } from "./names.js";
import { words } from "./words.js";

const most = 200;

export class People {
  /** The list, the line for people without a name, and the button with the reader's name. */
  constructor(list, rest, own) {
    this.list = list;
    this.rest = rest;
    this.own = own;
  }

  /** Shows the members of a room. */
  enter(members) {
    this.members = members;
    this.show();
  }

  show() {
    const { names: all, own, count } = this.members;
    const sorted = [...all].sort(new Intl.Collator(words.tag, { numeric: true }).compare);
    const names = all.has(own) ? [own, ...sorted.filter((name) => name !== own)] : sorted;
    this.list.replaceChildren(...names.slice(0, most).map((name) => this.person(name)));
    const others = Math.max(0, count - Math.min(names.length, most));
    this.rest.textContent = others === 0 ? "" : names.length < most ? words.others(others) : words.andMore(others);
    this.rest.hidden = others === 0;
    this.own.hidden = !own;
    if (own) this.own.replaceChildren(avatar(own), this.ownName());
  }

  ownName() {
    const result = document.createElement("span");
    const name = document.createElement("bdi");
    const hint = document.createElement("small");
    name.textContent = this.members.own;
    hint.textContent = words.rename;
    result.append(name, hint);
    return result;
  }

  person(name) {
    const item = document.createElement("li");
    const text = document.createElement("bdi");
    text.textContent = name;
    if (name !== this.members.own) {
      const button = document.createElement("button");
      button.type = "button";
      button.ariaHasPopup = "menu";
      button.name = name;
      button.append(avatar(name), text);
      if (hides(name)) button.className = "hidden";
      item.append(button);
    } else {
      item.append(avatar(name), text);
      const mark = document.createElement("span");
      mark.className = "quiet";
      mark.textContent = words.yourself;
      item.append(mark);
    }
    return item;
  }
}
