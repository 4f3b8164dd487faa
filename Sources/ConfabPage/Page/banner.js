// The banner about connection problems. It appears after a delay, because most problems end within moments.

import { words } from "./words.js";

const patience = 1500;

export class Banner {
  constructor(element, open) {
    this.element = element;
    this.text = element.querySelector("p");
    this.button = element.querySelector("button");
    this.button.addEventListener("click", open);
  }

  /**
   * Shows or hides the banner. `state` is the connection's state, or "held" while messages cannot be delivered;
   * "connecting" changes nothing. The property `reason` is the error code for a user who is not admitted, and `detail`
   * a moderator's text about it.
   */
  show(state) {
    this.state = state === "connecting" ? this.state : state;
    if (this.state === "waiting" || this.state === "held") return (this.timer ??= setTimeout(() => this.reveal(), patience));
    clearTimeout(this.timer);
    this.timer = undefined;
    this.element.hidden = true;
    if (this.state === "replaced" || this.state === "refused") this.reveal();
  }

  reveal() {
    this.element.hidden = false;
    this.label();
  }

  label() {
    const { replaced, lost, held, takeBack, reconnect } = words;
    const refused = words.refused[this.reason] ?? words.refused.forbidden;
    const because = this.detail ? `${refused} ${words.reason(this.detail)}` : refused;
    this.text.textContent = { replaced, refused: because, waiting: lost, held }[this.state] ?? "";
    this.button.textContent = { replaced: takeBack, refused: reconnect, waiting: reconnect }[this.state] ?? "";
    this.button.hidden = this.state === "held";
  }
}
