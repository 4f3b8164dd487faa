// The menu of a message.

import { Menu } from "./menu.js";

export class MessageMenu extends Menu {
  /** `log` has the messages, each with a button of the class `more`. */
  constructor(popover, log, actions) {
    super(popover, actions);
    this.log = log;
    log.addEventListener("click", ({ target }) => {
      if (target.classList.contains("more")) this.openFor(target);
    });
  }

  /** A moderator can only remove the messages of others. */
  openFor(button) {
    const { message } = button.closest(".message");
    this.open(button, message, button.closest(".own") ? ["edit", "remove"] : ["remove"]);
  }

  /** Opens the menu of the last own message. Returns whether there is one. */
  openLast() {
    const button = [...this.log.querySelectorAll("#rows .own > .more")].at(-1);
    if (!button?.checkVisibility()) return false;
    button.scrollIntoView({ block: "nearest" });
    this.openFor(button);
    return true;
  }
}
