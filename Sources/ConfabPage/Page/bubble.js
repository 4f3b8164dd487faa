// How one message looks.

import { linked } from "./links.js";
import { avatar } from "./names.js";
import { parse } from "./plain.js";
import { isOwn } from "./said.js";
import { fullTime, timeOfDay, words } from "./words.js";

/** The row of a message that has been said, or of one that is to be: `state` is "sending" then, or "failed". */
export function bubble(message, state = isOwn(message) ? "sent" : undefined) {
  const row = document.createElement("li");
  const { name, text } = content(message);
  row.message = message;
  row.className = state ? "message own" : "message";
  if (state) row.dataset.state = state;
  const said = element("div", "said");
  const bubble = element("p", "bubble");
  const body = linked(text);
  bubble.dir = "auto";
  if (isEmoji(text)) bubble.classList.add("emoji");
  bubble.append(body, meta(message, state));
  said.append(byline(name, state), bubble);
  row.append(...(state ? [] : [face(message)]), said);
  return row;
}

/** Who says it, to see whether the next one is by the same: those without a name are not known to be. */
export function speaker(message) {
  const { name } = content(message);
  return message.from ? `from ${name}` : parse(message.text ?? "") ? `user ${name}` : undefined;
}

function content({ from, text, binary }) {
  if (binary !== undefined) return { name: words.guest, text: words.binary(binary) };
  if (from !== undefined) return { name: from, text };
  const plain = parse(text);
  return plain ? { name: words.user(plain.user), text: plain.text } : { name: words.guest, text };
}

/** Those who have no name in the room have no colour either. */
function face({ from, text }) {
  if (from !== undefined) return avatar(from);
  const result = avatar("");
  result.textContent = parse(text ?? "")?.user.slice(-3) ?? "?";
  return result;
}

function byline(name, state) {
  const line = element("p", "author");
  const text = document.createElement("bdi");
  text.textContent = state ? words.you : name;
  line.append(text);
  return line;
}

function meta({ at }, state) {
  const meta = element("span", "meta");
  const time = document.createElement("time");
  time.dateTime = new Date(at).toISOString();
  time.title = fullTime(at);
  time.textContent = timeOfDay(at);
  meta.append(time);
  if (state) {
    const mark = element("span", "state");
    mark.role = "img";
    mark.ariaLabel = { sent: words.sent, sending: words.sending, failed: words.failed }[state];
    mark.title = mark.ariaLabel;
    meta.append(mark);
  }
  return meta;
}

/** One to three emoji and nothing else. */
function isEmoji(text) {
  return text.length < 40 && /^(?:\p{RGI_Emoji}\s*){1,3}$/v.test(text);
}

export function element(name, className) {
  const result = document.createElement(name);
  result.className = className;
  return result;
}
