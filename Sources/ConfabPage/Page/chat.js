// The page: connects the modules.

import { Banner } from "./banner.js";
import { Composer } from "./composer.js";
import { Conversation } from "./conversation.js";
import { Entry } from "./entry.js";
import { hide, hides, isHidden } from "./hidden.js";
import { isolated } from "./names.js";
import { Menu } from "./menu.js";
import { moderation } from "./moderation.js";
import { Notice } from "./notice.js";
import { Outbox } from "./outbox.js";
import { People } from "./people.js";
import { nameOf, roomOf } from "./room.js";
import { Rooms } from "./rooms.js";
import { isOwn } from "./said.js";
import { Scroll } from "./scroll.js";
import { local, session } from "./storage.js";
import { Timeline } from "./timeline.js";
import { takeToken } from "./token.js";
import { Typing } from "./typing.js";
import { Unread } from "./unread.js";
import { Unsent } from "./unsent.js";
import { label, language, midnight, speak, words } from "./words.js";

const element = (id) => document.getElementById(id);
const log = element("log");
const jump = element("jump");
/** Whether the page may focus the field itself. On touch screens that would open the on-screen keyboard. */
const hasKeyboard = !matchMedia("(pointer: coarse)").matches;

let room;
let outbox;
let conversation;
/** The requested name, and the server's proposal instead of a taken one. */
let chosen;
let proposed;
/** The tag of a message that was sent too fast. */
let limited;
/** The rights that the server has told; undefined if everybody may do everything. */
let rights;
let today = midnight(Date.now());

const timeline = new Timeline(log, element("rows"));
const scroll = new Scroll(log, moved);
const people = new People(element("people"), element("people-rest"), element("rename"));
const rooms = new Rooms(element("rooms"), element("room-form"));
const unread = new Unread(jump);
const typing = new Typing(element("typing"), () => conversation.typing());
const banner = new Banner(element("banner"), () => conversation.connection.open());
const unsent = new Unsent(element("unsent"), { retry, discard });
const composer = new Composer(element("composer"), { send, edit, menu: openMenu, typed: () => typing.typed() });
const menu = new Menu(element("menu"), { edit: (message) => composer.startEditing(message), remove });
const notice = new Notice(element("muted"), showComposer);
const personMenu = new Menu(element("person-menu"), {
  mention: ({ name }) => composer.add(`@${name} `),
  hide: ({ name }) => hideName(name, true),
  unhide: ({ name }) => hideName(name, false),
  ...moderation((...event) => conversation.moderate(...event) || notify(words.notModerated.unavailable)),
});
const entry = new Entry(element("entry"), submitted);

/** The listener of a conversation. */
const listener = {
  joined(welcome) {
    people.enter(welcome);
    composer.limit = welcome.limits?.text ?? composer.limit;
    ({ rights } = welcome);
    notice.show(undefined);
    composer.changed();
    log.classList.toggle("fixed", welcome.limits?.change === 0);
    log.classList.toggle("moderated", isModerator());
    const isElsewhere = !entry.isNeeded && document.activeElement !== document.body;
    if (entry.isNeeded) entry.close();
    if (hasKeyboard && !isElsewhere) composer.focus();
    showStatus();
  },

  rejected(code, proposal) {
    const wanted = (conversation.isIn ? chosen : conversation.name) ?? "";
    if (!conversation.isIn && !entry.isNeeded) entry.ask(wanted);
    proposed = proposal;
    // The server closes connections that do not join in time, so the next one begins with the name.
    if (!wanted) return conversation.connection.end();
    entry.reject(code === "nameTaken" ? words.nameTaken(isolated(wanted)) : words.nameInvalid, proposal);
  },

  /** The server does not admit the user, or the name is verified and cannot be changed. */
  refused(code, detail) {
    if (entry.isRename && entry.isOpen) return entry.reject(words.nameVerified);
    [banner.reason, banner.detail] = [code, detail];
    if (entry.isNeeded) entry.close();
  },

  named(name) {
    people.rename(name);
    session.set("name", name);
    // If the name was taken by another tab, this tab has another name for as long as it is open.
    const isStopgap = chosen === proposed && local.get("name") !== undefined;
    if (chosen !== undefined && !isStopgap) local.set("name", name);
    if (chosen !== undefined && entry.isRename) entry.close();
    chosen = undefined;
  },

  connection(state) {
    if (state !== "open") typing.clear();
    if (state === "waiting" && entry.isOpen) entry.note(words.unreachable);
    banner.show(state);
    showStatus();
  },

  held(isHeld) {
    banner.show(isHeld ? "held" : conversation.connection.state);
  },

  appended(messages, isNews) {
    const append = () => timeline.append(messages);
    if (isNews) append();
    else quietly(append);
    for (const { from } of messages) typing.stopped(from);
    const isSeen = scroll.isAtEnd && !document.hidden;
    const isFresh = (message) => !isOwn(message) && !isHidden(message);
    if (isNews && !isSeen) unread.add(messages.filter(isFresh).length);
    if (outbox.entries.length > 0) showUnsent();
    showEdge();
    const first = scroll.isAtEnd && timeline.trim();
    if (first) conversation.forgetBefore(first.id);
  },

  prepended(messages) {
    quietly(() => scroll.keepPlace(() => timeline.prepend(messages)));
  },

  presence(change) {
    const news = people.change(change);
    for (const name of change.left) typing.stopped(name);
    timeline.presence(news);
    showStatus();
  },

  changed(change) {
    quietly(() => scroll.keepPlace(() => timeline.change(change)));
  },

  unchanged: () => notify(words.notChanged),

  muted: (mute) => notice.show(mute),
  moderated: ({ action, name }) => notify(words.moderated[action](isolated(name ?? ""))),
  notModerated: (code) => notify(words.notModerated[code] ?? words.notModerated.unavailable),

  unsent() {
    limited = undefined;
    showUnsent();
  },

  limited(tag) {
    limited = tag;
    showUnsent();
  },

  gap: () => timeline.gap(),
  edge: showEdge,
  typing: (name) => name !== conversation.name && !hides(name) && typing.heard(name),
};

/** Enters the room in the address. */
function enter() {
  conversation?.leave();
  room = roomOf(location.hash);
  outbox = new Outbox(room);
  timeline.clear();
  typing.clear();
  people.clear();
  notice.show(undefined);
  unread.clear();
  scroll.isAtEnd = true;
  conversation = new Conversation(room, outbox, listener);
  composer.enter(room);
  rooms.enter(room);
  showUnsent();
  showRoom();
  const entered = conversation;
  outbox.inherit().then(() => {
    showUnsent();
    entered.flush();
  });
  const name = session.get("name") ?? local.get("name");
  // Without a name, the server may know the user by a token or a cookie. Otherwise it rejects the client, and the card
  // asks for a name.
  if (entry.isNeeded) entry.ask(name ?? "");
  else conversation.join(name);
}

function submitted(name) {
  chosen = name;
  if (!entry.isRename) return conversation.join(name);
  if (!conversation.rename(name)) entry.reject(words.unreachable);
}

function send(text) {
  typing.said();
  conversation.say(text);
  showUnsent();
  scroll.jumpToEnd();
}

/** Opens the menu of the last own message. Returns whether there is one. */
function openMenu() {
  const button = [...log.querySelectorAll("#rows .own > .more")].at(-1);
  if (!button?.checkVisibility()) return false;
  button.scrollIntoView({ block: "nearest" });
  openMessageMenu(button);
  return true;
}

/** Opens the menu of a message. A moderator can only remove the messages of others. */
function openMessageMenu(button) {
  const { message } = button.closest(".message");
  menu.open(button, message, button.closest(".own") ? ["edit", "remove"] : ["remove"]);
}

const isModerator = () => rights?.includes("moderate") ?? false;

/** Opens the menu of a member. A message names its sender by the member's id, in case the name has changed since. */
function openPersonMenu(button, name, member) {
  const actions = ["mention", hides(name) ? "unhide" : "hide", ...(isModerator() ? ["mute", "unmute", "kick", "ban"] : [])];
  personMenu.open(button, { name, member }, actions);
}

function hideName(name, isHidden) {
  hide(name, isHidden);
  quietly(() => scroll.keepPlace(() => timeline.relabel()));
  people.show();
  notify(isHidden ? words.hidden(isolated(name)) : words.unhidden(isolated(name)));
}

/** The field is off without the right to send, and while the reader is muted. */
function showComposer(isMuted) {
  element("composer").inert = isMuted || (rights !== undefined && !rights.includes("say"));
}

/** Returns whether the edit was sent. */
function edit(message, text) {
  const isSent = conversation.change(message.id, text);
  if (!isSent) notify(words.notChanged);
  return isSent;
}

function remove(message) {
  if (!confirm(words.confirmRemoval)) return;
  if (!conversation.change(message.id)) notify(words.notChanged);
}

/** Shows a short text for a moment. */
function notify(text) {
  const note = element("note");
  note.textContent = text;
  setTimeout(() => { if (note.textContent === text) note.textContent = ""; }, 4000);
}

function retry(tag) {
  outbox.fail(tag, undefined);
  showUnsent();
  conversation.flush();
}

function discard(tag) {
  outbox.remove(tag);
  showUnsent();
  composer.focus();
}

/** Called when the view or its content has moved. */
function moved() {
  if (scroll.isAtEnd && !document.hidden) unread.clear();
  jump.hidden = scroll.isAtEnd;
  if (scroll.isNear(timeline.edge)) conversation.loadOlder();
}

/** Changes the log without announcing it to screen readers, because it is not news. */
function quietly(change) {
  log.ariaLive = "off";
  change();
  setTimeout(() => { log.ariaLive = null; }, 500);
}

function showUnsent() {
  unsent.show(outbox.entries, { limited, isFollowing: timeline.endsWithOwn });
}

function showEdge() {
  const isKnown = conversation.first !== undefined;
  if (!isKnown) return;
  if (conversation.hasOlder) timeline.tell("loading");
  else if (timeline.isEmpty) timeline.tell("empty");
  else timeline.tell(conversation.first === 1 ? "beginning" : "oldest");
}

function showRoom() {
  element("room").textContent = nameOf(room);
  unread.title(`${nameOf(room)} · Confab`);
}

function showStatus() {
  const status = element("status");
  const { connecting, offline } = words;
  // An open connection has not been welcomed yet.
  const state = conversation.isIn ? "in" : conversation.connection.state.replace("open", "connecting");
  const text = {
    in: words.here(people.count), connecting, waiting: offline, replaced: offline, refused: offline, closed: "",
  };
  status.dataset.state = state;
  status.textContent = text[state];
}

/** Updates all text to the page's language. */
function relabel() {
  label(document);
  for (const button of document.querySelectorAll("button.language")) {
    button.textContent = words.other;
    button.lang = words.otherTag;
  }
  timeline.relabel();
  people.show();
  rooms.show();
  typing.show();
  entry.label();
  banner.label();
  notice.label();
  composer.changed();
  showUnsent();
  showRoom();
  showStatus();
}

for (const button of document.querySelectorAll("button.language")) {
  button.addEventListener("click", () => {
    speak(language === "zh" ? "en" : "zh");
    relabel();
  });
}

element("rename").addEventListener("click", () => {
  element("side").hidePopover();
  entry.ask(conversation.name, { isRename: true });
});

element("copy-link").addEventListener("click", async () => {
  try {
    await navigator.clipboard.writeText(location.href);
  } catch {
    // Insecure pages have no clipboard.
    return prompt(words.copyLink, location.href);
  }
  notify(words.copied);
});

log.addEventListener("click", ({ target }) => {
  if (target.classList.contains("more")) openMessageMenu(target);
});

// A click, or a long press.
for (const kind of ["click", "contextmenu"]) {
  log.addEventListener(kind, (event) => {
    const button = event.target.closest(".author button");
    if (!button) return;
    event.preventDefault();
    const { from, member } = button.closest(".message").message;
    openPersonMenu(button, from, member);
  });
  element("people").addEventListener(kind, (event) => {
    const button = event.target.closest("button");
    if (!button) return;
    event.preventDefault();
    openPersonMenu(button, button.name);
  });
}

jump.addEventListener("click", () => {
  scroll.jumpToEnd();
  if (hasKeyboard) composer.focus();
});

addEventListener("hashchange", () => {
  takeToken();
  element("side").hidePopover();
  enter();
});

document.addEventListener("visibilitychange", moved);

// On a wide screen the panel is beside the chat, not over it.
matchMedia("(min-width: 60rem)").addEventListener("change", () => element("side").hidePopover());

// Updates the day separators after midnight.
setInterval(() => {
  if (today === midnight(Date.now())) return;
  today = midnight(Date.now());
  timeline.relabel();
}, 60_000);

// The page ends above an on-screen keyboard that covers it.
visualViewport.addEventListener("resize", () => {
  if (visualViewport.scale !== 1) return;
  document.documentElement.style.setProperty("--height", `${visualViewport.height}px`);
});

takeToken();
enter();
relabel();
