// The appearance of one message.

import { isHidden } from "./hidden.js";
import { linked } from "./links.js";
import { avatar } from "./names.js";
import { parse } from "./plain.js";
import { isOwn } from "./said.js";
import { fullTime, timeOfDay, words } from "./words.js";

/** Returns the row of a message. `state` is "sending" or "failed" for an unsent message. */
export function bubble(message, state = isOwn(message) ? "sent" : undefined) {
  const row = document.createElement("li");
  const { name, text } = content(message);
  row.message = message;
  row.hidden = !state && isHidden(message);
  row.className = state ? "message own" : "message";
  if (state) row.dataset.state = state;
  const said = element("div", "said");
  const bubble = element("p", "bubble");
  const body = linked(text);
  bubble.dir = "auto";
  if (isEmoji(text)) bubble.classList.add("emoji");
  const isSent = state === undefined || state === "sent";
  if (message.removed) bubble.classList.add("removed");
  bubble.append(body, meta(message, state));
  said.append(byline(name, state, message.from !== undefined), bubble);
  row.append(...(state ? [] : [face(message)]), said, ...(isSent && !message.removed ? [more(state)] : []));
  return row;
}

/** Identifies the author, to group consecutive messages. Returns undefined for messages without a name. */
export function speaker(message) {
  const { name } = content(message);
  return message.from ? `from ${name}` : parse(message.text ?? "") ? `user ${name}` : undefined;
}

function content({ from, text, binary, removed }) {
  if (removed) return { name: from ?? words.guest, text: words.removed };
  if (binary !== undefined) return { name: words.guest, text: words.binary(binary) };
  if (from !== undefined) return { name: from, text };
  const plain = parse(text);
  return plain ? { name: words.user(plain.user), text: plain.text } : { name: words.guest, text };
}

/** Returns the circle beside a message. It is coloured only for an author with a name in the room. */
function face({ from, text }) {
  if (from !== undefined) return avatar(from);
  const result = avatar("");
  result.textContent = parse(text ?? "")?.user.slice(-3) ?? "?";
  return result;
}

/** Returns the author's name. Another member's name is a button; for the keyboard, the list of people has its menu. */
function byline(name, state, isMember) {
  const line = element("p", "author");
  const text = document.createElement("bdi");
  text.textContent = state ? words.you : name;
  if (state || !isMember) {
    line.append(text);
    return line;
  }
  const button = element("button", "name");
  button.type = "button";
  button.tabIndex = -1;
  button.ariaHasPopup = "menu";
  button.append(text);
  line.append(button);
  return line;
}

/**
 * Returns the button that opens the menu of a message. It is shown for own messages, and to moderators. Buttons of own
 * messages are not in the Tab order: the field opens the menu of the last own message.
 */
function more(state) {
  const button = element("button", "more icon");
  button.type = "button";
  if (state) button.tabIndex = -1;
  button.ariaLabel = words.more;
  button.ariaHasPopup = "menu";
  button.textContent = "⋯";
  return button;
}

function meta({ at, edited, removed }, state) {
  const meta = element("span", "meta");
  if (edited && !removed) meta.append(words.edited, " ");
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

/** Whether the text is only one to three emoji. */
function isEmoji(text) {
  return text.length < 40 && /^(?:\p{RGI_Emoji}\s*){1,3}$/v.test(text);
}

export function element(name, className) {
  const result = document.createElement(name);
  result.className = className;
  return result;
}
