// The menu of a message: our own, or any one for a moderator, who can only remove it.

import { words } from "./words.js";

export class Menu {
  /** `edit(message)` and `remove(message)` are called with the chosen row's message. */
  constructor(popover, { edit, remove }) {
    this.popover = popover;
    const [editing, removal] = popover.querySelectorAll("button");
    this.editing = editing;
    editing.addEventListener("click", () => this.choose(edit));
    removal.addEventListener("click", () => this.choose((message) => confirm(words.confirmRemoval) && remove(message)));
    popover.addEventListener("keydown", ({ key }) => {
      if (key !== "ArrowDown" && key !== "ArrowUp") return;
      (document.activeElement === removal && !editing.hidden ? editing : removal).focus();
    });
  }

  /** Opens it beside the button of a row. */
  open(button) {
    this.button = button;
    this.editing.hidden = !button.closest(".own");
    this.popover.showPopover();
    const [box, own] = [button.getBoundingClientRect(), this.popover.getBoundingClientRect()];
    const isBelow = box.bottom + own.height < innerHeight;
    this.popover.style.top = `${isBelow ? box.bottom : Math.max(0, box.top - own.height)}px`;
    this.popover.style.left = `${Math.max(0, Math.min(box.left, innerWidth - own.width))}px`;
    this.popover.querySelector("button:not([hidden])").focus();
  }

  choose(action) {
    const { message } = this.button.closest(".message");
    this.popover.hidePopover();
    this.button.focus();
    action(message);
  }
}
