"""The page's client on a socket that the test drives."""

# A replacement for the browser's socket, driven by the test.
FAKE = """
  class Fake {
    static made = [];
    sent = [];
    constructor(address, protocol) { Object.assign(this, { address, protocol }); Fake.made.push(this); }
    send(text) { this.sent.push(JSON.parse(text)); }
    close() {}
    hear(event) { this.onmessage({ data: JSON.stringify(event) }); }
    get last() { return this.sent.at(-1); }
  }
  window.WebSocket = Fake;
  const { Client } = await import("/client.js");
  const told = [];
  const listener = new Proxy({}, { get: (_, name) => (...values) => {
    if (name === "appended" || name === "prepended") told.push(`${name} ${values[0].map(({ id }) => id)}`);
    else if (["gap", "edge", "rejected", "refused", "held"].includes(name)) told.push([name, ...values].join(" ").trim());
  } });
  const client = new Client({ marked() {} });
  const room = `/test${Math.random()}`;
  const conversation = client.conversation(room);
  client.show(conversation, listener);
  const message = (id, more = {}) => ({ type: "message", id, at: id, text: `${id}`, ...more });
  const [ann, bob, eve] = ["a", "b", "e"].map((digit) => digit.repeat(16));
  const range = (from, to) => Array.from({ length: to - from + 1 }, (_, index) => message(from + index));
  const welcome = (last, messages, more = {}) => ({ type: "welcome", room, name: "Ann", member: ann, session: "s".repeat(22), epoch: "e",
    last, oldest: 1, people: ["Ann"], count: 1, messages, more: false, gap: false, limits: { text: 4000 }, ...more });
  const connect = () => { const socket = Fake.made.at(-1); socket.onopen(); return socket; };
  conversation.join("Ann");
  let socket = connect();
"""

# `client` shows `room` and follows two others. `until` waits for what the client does after a pause.
ROOMS = FAKE + """
  const limits = { text: 4000, rooms: 64, rate: 1000 };
  const [tea, milk] = ["/tea", "/milk"].map((name) => name + Math.random());
  const entered = (room, last, messages, more = {}) => ({ ...welcome(last, messages, { limits, ...more }), room, member: bob });
  const events = (type, of = socket) => of.sent.filter((event) => event.type === type);
  const enters = () => events("enter").map(({ room }) => room);
  const until = async (condition) => { while (!condition()) await new Promise((resolve) => setTimeout(resolve, 1)); };
  const show = (path) => {
    const shown = client.conversation(path);
    client.show(shown, listener);
    shown.join("Ann");
    return shown;
  };
  const reconnect = () => {
    socket.onclose({ code: 1006 });
    client.connection.open();
    socket = connect();
  };
  let marks = 0;
  client.marked = () => { marks += 1; };
  client.follow([room, tea, milk]);
"""
