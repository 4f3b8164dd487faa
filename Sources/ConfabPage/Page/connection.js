// A WebSocket that reconnects: after a pause that doubles and has a random part, so that clients don't reconnect all at
// once; immediately when the network or the reader is back. A silent connection is given up.

const shortest = 500;
const longest = 15_000;
/** The time limit for a reply, or for the handshake. */
const patience = 8_000;
/** The idle time after which `quiet()` is called. */
const silence = 25_000;

export class Connection {
  /**
   * `address()` returns the address for the next attempt.
   * `handlers`: `opened()`, `received(event)`, `changed(state)`, and `quiet()`, which must send an event that gets a
   * reply.
   * States: "connecting", "open", "waiting" until the next attempt, "replaced", "refused", "closed".
   */
  constructor(address, handlers) {
    this.address = address;
    this.handlers = handlers;
    this.failures = 0;
    this.state = "closed";
    addEventListener("online", () => this.woken());
    addEventListener("offline", () => this.isActive && this.retry());
    document.addEventListener("visibilitychange", () => this.woken());
    // A page in the back-forward cache leaves the chat until it is shown again.
    addEventListener("pagehide", () => this.isActive && this.pause());
    addEventListener("pageshow", () => this.woken());
  }

  open() {
    this.abandon();
    const socket = new WebSocket(this.address(), "chat.confab.v1");
    this.socket = socket;
    this.isHeld = false;
    this.enter("connecting");
    this.expectAnswer();
    socket.onopen = () => {
      this.heard();
      this.enter("open");
      this.handlers.opened();
    };
    socket.onmessage = ({ data }) => {
      this.heard();
      this.handlers.received(JSON.parse(data));
    };
    const ends = { 4001: "replaced", 4003: "refused" };
    socket.onclose = ({ code }) => (code in ends ? this.end(ends[code]) : this.retry());
  }

  get isActive() {
    return this.state === "open" || this.state === "connecting";
  }

  /** Sends an event. With `isAnswered` it must get a reply in time. Returns whether there is an open connection. */
  send(event, { isAnswered = true } = {}) {
    if (this.state !== "open") return false;
    this.socket.send(JSON.stringify(event));
    if (isAnswered) this.expectAnswer();
    return true;
  }

  /** The server has welcomed the client: the next pause is short again. */
  settle() {
    this.failures = 0;
  }

  /** Reconnects after the pause, by default a random one that doubles with each failure. */
  retry(pause = Math.min(longest, shortest * 2 ** this.failures) * (0.5 + Math.random() / 2)) {
    this.pause();
    this.failures += 1;
    this.timer = setTimeout(() => this.open(), pause);
  }

  /** Reconnects after a pause; until then the connection stays in use. */
  move(pause) {
    const { socket } = this;
    setTimeout(() => this.socket === socket && this.retry(0), pause);
  }

  /** Closes the connection until `woken` or `open`. */
  pause() {
    this.abandon();
    this.enter("waiting");
  }

  /** Closes the connection until `open`. */
  end(state = "closed") {
    this.abandon();
    this.enter(state);
  }

  /** The network or the reader is back. */
  woken() {
    if (document.visibilityState === "hidden") return;
    if (this.state === "waiting") this.open();
    else if (this.state === "open") this.handlers.quiet();
  }

  /** `isHeld`: whether replies may take longer, as the server has announced. */
  hold(isHeld) {
    this.isHeld = isHeld;
    this.heard();
  }

  enter(state) {
    this.state = state;
    this.handlers.changed(state);
  }

  heard() {
    clearTimeout(this.timer);
    this.isExpecting = false;
    this.timer = setTimeout(() => this.handlers.quiet(), silence);
  }

  expectAnswer() {
    if (this.isExpecting || this.isHeld) return;
    this.isExpecting = true;
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.retry(0), patience);
  }

  abandon() {
    clearTimeout(this.timer);
    this.isExpecting = false;
    if (!this.socket) return;
    this.socket.onopen = this.socket.onmessage = this.socket.onclose = null;
    this.socket.close();
    this.socket = undefined;
  }
}
