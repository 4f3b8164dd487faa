// A menu beside a button: of a message, or of a name.

export class Menu {
  /** `actions`: a function for each `data-action` of the popover's buttons, called with the subject. */
  constructor(popover, actions) {
    this.popover = popover;
    this.actions = actions;
    this.buttons = [...popover.querySelectorAll("[data-action]")];
    for (const button of this.buttons) button.addEventListener("click", () => this.choose(button.dataset.action));
    popover.addEventListener("keydown", ({ key }) => this.move(key));
  }

  /** Opens the menu beside a button, with these actions for a subject. */
  open(button, subject, actions) {
    this.button = button;
    this.subject = subject;
    for (const item of this.buttons) item.hidden = !actions.includes(item.dataset.action);
    this.popover.showPopover();
    const [box, own] = [button.getBoundingClientRect(), this.popover.getBoundingClientRect()];
    const isBelow = box.bottom + own.height < innerHeight;
    this.popover.style.top = `${isBelow ? box.bottom : Math.max(0, box.top - own.height)}px`;
    this.popover.style.left = `${Math.max(0, Math.min(box.left, innerWidth - own.width))}px`;
    this.shown[0].focus();
  }

  get shown() {
    return this.buttons.filter((button) => !button.hidden);
  }

  move(key) {
    const { shown } = this;
    const index = shown.indexOf(document.activeElement);
    if (key === "ArrowDown") shown[(index + 1) % shown.length].focus();
    else if (key === "ArrowUp") shown.at(index - 1).focus();
    else if (key === "Home") shown[0].focus();
    else if (key === "End") shown.at(-1).focus();
  }

  choose(action) {
    this.popover.hidePopover();
    this.button.focus();
    this.actions[action](this.subject);
  }
}
