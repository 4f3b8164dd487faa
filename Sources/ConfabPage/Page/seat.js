// The tab's session in a room. The page creates it, because a session from the server could be lost with the welcome.

import { session } from "./storage.js";

export class Seat {
  constructor(room) {
    this.name = `seat${room}`;
  }

  get session() {
    const random = () => crypto.getRandomValues(new Uint8Array(24));
    const made = () => Array.from(random(), (byte) => byte.toString(16).padStart(2, "0")).join("");
    if (!session.get(this.name)) session.set(this.name, made());
    return session.get(this.name);
  }

  set session(value) {
    session.set(this.name, value);
  }
}
