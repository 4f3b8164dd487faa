import { compose, parse } from "./message.js";
import { language, words } from "./words.js";

const element = (id) => document.getElementById(id);
const showArea = element("show-area");
const input = element("chat-input");
const status = element("status");
const notice = element("notice");
const reconnect = element("reconnect");

const user = Math.floor(Math.random() * 1000);
/** What was sent and has not come back yet: by that a message is known as one's own. */
const pending = new Set();
let socket;

document.documentElement.lang = language === "zh" ? "zh-CN" : "en";
document.title = words.title;
element("title").textContent = words.title;
element("who").textContent = words.you(user);
element("send-btn").textContent = words.send;
input.placeholder = words.placeholder;
input.setAttribute("aria-label", words.placeholder);
showArea.setAttribute("aria-label", words.messages);
reconnect.textContent = words.reconnect;

function connect() {
  const address = new URL("/", location.href);
  address.protocol = location.protocol === "https:" ? "wss:" : "ws:";
  setStatus("connecting");
  socket = new WebSocket(address);
  socket.binaryType = "arraybuffer";
  socket.onopen = () => {
    setStatus("open");
    showEvent(words.opened);
  };
  socket.onmessage = ({ data }) => showMessage(data);
  socket.onclose = () => {
    setStatus("closed");
    showEvent(words.ended);
    pending.clear();
  };
}

function setStatus(state) {
  status.dataset.state = state;
  status.textContent = words[state];
  reconnect.hidden = state !== "closed";
}

function showMessage(data) {
  if (typeof data !== "string") return append(bubble("", words.binary(data.byteLength)));
  const message = parse(data);
  const isOwn = pending.delete(data);
  if (!message) return append(bubble("", data, isOwn));
  const time = message.date?.toLocaleTimeString(language === "zh" ? "zh-CN" : undefined, { timeStyle: "short" });
  append(bubble([words.user(message.user), time].filter(Boolean).join(" · "), message.text, isOwn));
}

function bubble(meta, text, isOwn = false) {
  const item = document.createElement("li");
  item.className = isOwn ? "message own" : "message";
  if (meta) item.append(paragraph("meta", meta));
  item.append(paragraph("text", text));
  return item;
}

function showEvent(text) {
  const item = document.createElement("li");
  item.className = "event";
  item.textContent = text;
  append(item);
}

function paragraph(name, text) {
  const result = document.createElement("p");
  result.className = name;
  result.textContent = text;
  return result;
}

/** Adds an item, and keeps the newest in view unless the reader has scrolled up. The oldest go after a thousand. */
function append(item) {
  const atEnd = showArea.scrollHeight - showArea.scrollTop - showArea.clientHeight < 40;
  showArea.append(item);
  if (showArea.childElementCount > 1000) showArea.firstElementChild.remove();
  if (atEnd || item.classList.contains("own")) showArea.scrollTop = showArea.scrollHeight;
}

element("form").addEventListener("submit", (event) => {
  event.preventDefault();
  const text = input.value;
  notice.textContent = "";
  if (text.trim() === "") notice.textContent = words.empty;
  else if (socket.readyState !== WebSocket.OPEN) notice.textContent = words.offline;
  else {
    const message = compose(user, text);
    pending.add(message);
    socket.send(message);
    input.value = "";
  }
  input.focus();
});

input.addEventListener("input", () => { notice.textContent = ""; });
reconnect.addEventListener("click", connect);
connect();
