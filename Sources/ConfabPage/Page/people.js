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
    this.clear();
  }

  clear() {
    this.names = new Set();
    this.count = 0;
    this.me = undefined;
    this.show();
  }

  enter({ people, count, name }) {
    this.names = new Set([...people, name]);
    this.me = name;
    this.count = count;
    this.show();
  }

  /** Applies a change. Returns the news in it: a part of the change may be known already. */
  change({ joined, left, renamed, count }) {
    const news = {
      left: left.filter((name) => this.names.delete(name)),
      renamed: renamed.filter(([old]) => this.names.delete(old)),
      joined: joined.filter((name) => !this.names.has(name)),
    };
    for (const name of [...joined, ...renamed.map(([, name]) => name)]) this.names.add(name);
    this.count = count;
    this.show();
    return news;
  }

  rename(name) {
    this.names.delete(this.me);
    this.names.add(name);
    this.me = name;
    this.show();
  }

  show() {
    const sorted = [...this.names].sort(new Intl.Collator(words.tag, { numeric: true }).compare);
    const names = this.names.has(this.me) ? [this.me, ...sorted.filter((name) => name !== this.me)] : sorted;
    this.list.replaceChildren(...names.slice(0, most).map((name) => this.person(name)));
    const others = Math.max(0, this.count - Math.min(names.length, most));
    this.rest.textContent = others === 0 ? "" : names.length < most ? words.others(others) : words.andMore(others);
    this.rest.hidden = others === 0;
    this.own.hidden = !this.me;
    if (this.me) this.own.replaceChildren(avatar(this.me), this.ownName());
  }

  ownName() {
    const result = document.createElement("span");
    const name = document.createElement("bdi");
    const hint = document.createElement("small");
    name.textContent = this.me;
    hint.textContent = words.rename;
    result.append(name, hint);
    return result;
  }

  person(name) {
    const item = document.createElement("li");
    const text = document.createElement("bdi");
    text.textContent = name;
    if (name !== this.me) {
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
