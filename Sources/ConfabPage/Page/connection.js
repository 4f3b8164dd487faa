// A WebSocket that comes back by itself: after a pause that doubles, with some chance in it so that not all come at
// once, and at once when the network or the reader returns. One that has fallen silent is given up.

const shortest = 500;
const longest = 15_000;
/** How long an answer, or the handshake, may take. */
const patience = 8_000;
/** After so much silence the connection is asked for a sign of life. */
const silence = 25_000;

export class Connection {
  /**
   * `handlers`: `opened()`, `received(event)`, `changed(state)`, and `quiet()`, which is to send something that is
   * answered. States: "connecting", "open", "waiting" until the next attempt, "replaced", "closed".
   */
  constructor(address, handlers) {
    this.address = address;
    this.handlers = handlers;
    this.failures = 0;
    this.state = "closed";
    this.gone = new AbortController();
    const { signal } = this.gone;
    addEventListener("online", () => this.woken(), { signal });
    addEventListener("offline", () => this.isActive && this.retry(), { signal });
    document.addEventListener("visibilitychange", () => this.woken(), { signal });
    // A page that may be shown again by going back is not in the chat meanwhile.
    addEventListener("pagehide", () => this.isActive && this.pause(), { signal });
    addEventListener("pageshow", () => this.woken(), { signal });
  }

  open() {
    this.abandon();
    const socket = new WebSocket(this.address, "chat.confab.v1");
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
    socket.onclose = ({ code }) => (code === 4001 ? this.end("replaced") : this.retry());
  }

  get isActive() {
    return this.state === "open" || this.state === "connecting";
  }

  /** Sends an event that is answered, or another one. Returns whether there is a connection to send it on. */
  send(event, { isAnswered = true } = {}) {
    if (this.state !== "open") return false;
    this.socket.send(JSON.stringify(event));
    if (isAnswered) this.expectAnswer();
    return true;
  }

  /** The server has let us in: the next pause is a short one again. */
  settle() {
    this.failures = 0;
  }

  /** Connects anew, after a pause of its own choice if none is given. */
  retry(pause = Math.min(longest, shortest * 2 ** this.failures) * (0.5 + Math.random() / 2)) {
    this.pause();
    this.failures += 1;
    this.timer = setTimeout(() => this.open(), pause);
  }

  /** Connects anew after a pause during which all goes on. */
  move(pause) {
    const { socket } = this;
    setTimeout(() => this.socket === socket && this.retry(0), pause);
  }

  /** Closes it until it is woken. */
  pause() {
    this.abandon();
    this.enter("waiting");
  }

  /** Closes it for good, or until `open`. */
  end(state = "closed") {
    this.abandon();
    this.enter(state);
  }

  /** Nothing of it may be heard any more. */
  leave() {
    this.abandon();
    this.gone.abort();
  }

  /** The network, or the reader, is there again. */
  woken() {
    if (document.visibilityState === "hidden") return;
    if (this.state === "waiting") this.open();
    else if (this.state === "open") this.handlers.quiet();
  }

  /** For a while, answers are not expected: the server has said so. */
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
