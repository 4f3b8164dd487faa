// The line below the room's name: the number of people, or the state of the connection.

import { words } from "./words.js";

export class Status {
  constructor(line) {
    this.line = line;
  }

  /** `state`: "in" while the reader is in the room, otherwise the connection's. */
  show(state, count) {
    const { connecting, offline } = words;
    // An open connection has not been welcomed yet.
    this.line.dataset.state = state.replace("open", "connecting");
    this.line.textContent = {
      in: words.here(count), connecting, waiting: offline, replaced: offline, refused: offline, closed: "",
    }[this.line.dataset.state];
  }
}
