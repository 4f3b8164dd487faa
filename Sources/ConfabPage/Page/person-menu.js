// The menu of a member, which a click or a long press on the name opens.

import { hides } from "./hidden.js";
import { Menu } from "./menu.js";

export class PersonMenu extends Menu {
  /** Whether the reader is a moderator of the room. */
  isModerator = false;

  /** The names are buttons in the messages of `log`, and in the list `people`. */
  constructor(popover, { log, people }, actions) {
    super(popover, actions);
    // A message names its sender by the member's id, in case the name has changed since.
    this.listen(log, ".author button", (button) => {
      const { from, member } = button.closest(".message").message;
      return { name: from, member };
    });
    this.listen(people, "button", ({ name }) => ({ name }));
  }

  listen(area, selector, subject) {
    for (const kind of ["click", "contextmenu"]) {
      area.addEventListener(kind, (event) => {
        const button = event.target.closest(selector);
        if (!button) return;
        event.preventDefault();
        this.openFor(button, subject(button));
      });
    }
  }

  openFor(button, subject) {
    const moderation = this.isModerator ? ["mute", "unmute", "kick", "ban"] : [];
    this.open(button, subject, ["mention", hides(subject.name) ? "unhide" : "hide", ...moderation]);
  }
}
