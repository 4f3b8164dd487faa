// What is to be said about the connection when it is not there: not at once, as most troubles are over in a moment.

import { words } from "./words.js";

const patience = 1500;

export class Banner {
  constructor(element, open) {
    this.element = element;
    this.text = element.querySelector("p");
    this.button = element.querySelector("button");
    this.button.addEventListener("click", open);
  }

  /** `state`: the connection's, or "held" when the server keeps what is said. A first attempt is no trouble; the next one after a pause does not end it. */
  show(state) {
    this.state = state === "connecting" ? this.state : state;
    if (this.state === "waiting" || this.state === "held") return (this.timer ??= setTimeout(() => this.reveal(), patience));
    clearTimeout(this.timer);
    this.timer = undefined;
    this.element.hidden = true;
    if (this.state === "replaced") this.reveal();
  }

  reveal() {
    this.element.hidden = false;
    this.label();
  }

  label() {
    const { replaced, lost, held, takeBack, reconnect } = words;
    this.text.textContent = { replaced, waiting: lost, held }[this.state] ?? "";
    this.button.textContent = { replaced: takeBack, waiting: reconnect }[this.state] ?? "";
    this.button.hidden = this.state === "held";
  }
}
