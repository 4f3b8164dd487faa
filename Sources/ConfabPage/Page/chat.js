// The page: connects the modules.

import { Banner } from "./banner.js";
import { Client } from "./client.js";
import { Composer } from "./composer.js";
import { hide, hides } from "./hidden.js";
import { Log } from "./log.js";
import { MessageMenu } from "./message-menu.js";
import { moderation } from "./moderation.js";
import { isolated } from "./names.js";
import { Notice } from "./notice.js";
import { OwnName } from "./own-name.js";
import { People } from "./people.js";
import { PersonMenu } from "./person-menu.js";
import { nameOf, roomOf } from "./room.js";
import { Rooms } from "./rooms.js";
import { Status } from "./status.js";
import { takeToken } from "./token.js";
import { Typing } from "./typing.js";
import { Unread } from "./unread.js";
import { Unsent } from "./unsent.js";
import { label, language, speak, words } from "./words.js";

const element = (id) => document.getElementById(id);
const area = element("log");
const jump = element("jump");
/** Whether the page may focus the field itself. On touch screens that would open the on-screen keyboard. */
const hasKeyboard = !matchMedia("(pointer: coarse)").matches;

const client = new Client({ marked: () => rooms.show() });
/** The conversation of the shown room. */
let conversation;

const people = new People(element("people"), element("people-rest"), element("rename"));
const rooms = new Rooms(element("rooms"), element("room-form"), {
  unread: (room) => client.unread(room),
  removed: () => client.follow(rooms.visited),
});
const unread = new Unread(jump);
const log = new Log(area, { rows: element("rows"), jump, unread, nearEdge: () => conversation.loadOlder() });
const typing = new Typing(element("typing"), () => conversation.typing());
const banner = new Banner(element("banner"), () => conversation.join(conversation.name));
const unsent = new Unsent(element("unsent"), { retry, discard });
const messageMenu = new MessageMenu(element("menu"), area, { edit: (message) => composer.startEditing(message), remove });
const composer = new Composer(element("composer"), {
  send, edit, menu: () => messageMenu.openLast(), typed: () => typing.typed(),
});
const status = new Status(element("status"));
const notice = new Notice(element("muted"), showComposer);
const personMenu = new PersonMenu(element("person-menu"), { log: area, people: element("people") }, {
  mention: ({ name }) => composer.add(`@${name} `),
  hide: ({ name }) => hideName(name, true),
  unhide: ({ name }) => hideName(name, false),
  ...moderation((...event) => conversation.moderate(...event) || notify(words.notModerated.unavailable)),
});
const ownName = new OwnName(element("entry"));

/** The listener of a conversation. */
const listener = {
  joined() {
    const { limits, rights } = conversation;
    people.show();
    composer.limit = limits?.text ?? composer.limit;
    notice.show(undefined);
    composer.changed();
    personMenu.isModerator = rights?.includes("moderate") ?? false;
    area.classList.toggle("fixed", limits?.change === 0);
    area.classList.toggle("moderated", personMenu.isModerator);
    const { activeElement } = document;
    const isElsewhere = !ownName.settle() && activeElement !== document.body;
    if (hasKeyboard && !isElsewhere) composer.focus();
    banner.show(conversation.state);
    showStatus();
  },

  rejected: (code, proposal) => ownName.rejected(code, proposal),

  /** The server does not admit the user, or the name is verified and cannot be changed. */
  refused(code, detail) {
    if (ownName.refused()) return;
    [banner.reason, banner.detail] = [code, detail];
    ownName.settle();
  },

  named(name) {
    people.show();
    ownName.accepted(name);
  },

  connection(state) {
    if (state !== "open") typing.clear();
    if (state === "waiting") ownName.unreachable();
    banner.show(state);
    showStatus();
  },

  held(isHeld) {
    banner.show(isHeld ? "held" : conversation.state);
  },

  appended(messages, isNews) {
    log.append(messages, isNews);
    for (const { from } of messages) typing.stopped(from);
    if (conversation.outbox.entries.length > 0) showUnsent();
    log.showEdge(conversation.messages);
    const first = log.trim();
    if (first) conversation.messages.forgetBefore(first.id);
  },

  prepended: (messages) => log.prepend(messages),

  presence(news) {
    people.show();
    for (const name of news.left) typing.stopped(name);
    log.presence(news);
    showStatus();
  },

  changed: (change) => log.change(change),
  unchanged: () => notify(words.notChanged),

  muted: (mute) => notice.show(mute),
  notRenamed: () => ownName.muted(),
  moderated: ({ action, name }) => notify(words.moderated[action](isolated(name ?? ""))),
  notModerated: (code) => notify(words.notModerated[code] ?? words.notModerated.unavailable),

  unsent: () => showUnsent(),

  gap: () => log.gap(),
  edge: () => {
    log.showEdge(conversation.messages);
    log.moved();
  },
  typing: (name) => name !== conversation.name && !hides(name) && typing.heard(name),
};

/** Shows the room in the address, and follows the others in the list. */
function enter() {
  const room = roomOf(location.hash);
  if (element("rooms").contains(document.activeElement)) document.activeElement.blur();
  log.clear();
  typing.clear();
  conversation = client.conversation(room);
  notice.show(undefined);
  people.enter(conversation.members);
  composer.enter(room);
  client.show(conversation, listener);
  rooms.enter(room);
  client.follow(rooms.visited);
  banner.show(conversation.isHeld ? "held" : conversation.state);
  showUnsent();
  showRoom();
  showStatus();
  ownName.enter(conversation);
}

function send(text) {
  typing.said();
  conversation.say(text);
  showUnsent();
  log.jumpToEnd();
}

function hideName(name, isHidden) {
  hide(name, isHidden);
  log.showHidden();
  people.show();
  notify(isHidden ? words.hidden(isolated(name)) : words.unhidden(isolated(name)));
}

/** The field is off without the right to send, and while the reader is muted. */
function showComposer(isMuted) {
  const rights = conversation?.rights;
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
  conversation.outbox.fail(tag, undefined);
  showUnsent();
  conversation.flush();
}

function discard(tag) {
  conversation.outbox.remove(tag);
  showUnsent();
  composer.focus();
}

function showUnsent() {
  const { outbox, sender } = conversation;
  unsent.show(outbox.entries, { limited: sender.limited, isFollowing: log.endsWithOwn });
}

function showRoom() {
  const name = nameOf(conversation.room);
  element("room").textContent = name;
  unread.title(`${name} · Confab`);
}

function showStatus() {
  status.show(conversation.isIn ? "in" : conversation.state, conversation.members.count);
}

/** Updates all text to the page's language. */
function relabel() {
  label(document);
  for (const button of document.querySelectorAll("button.language")) {
    button.textContent = words.other;
    button.lang = words.otherTag;
  }
  log.relabel();
  people.show();
  rooms.show();
  typing.show();
  ownName.label();
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
  ownName.rename();
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

jump.addEventListener("click", () => {
  log.jumpToEnd();
  if (hasKeyboard) composer.focus();
});

addEventListener("hashchange", () => {
  takeToken();
  element("side").hidePopover();
  enter();
});

// On a wide screen the panel is beside the chat, not over it.
matchMedia("(min-width: 60rem)").addEventListener("change", () => element("side").hidePopover());

// The page ends above an on-screen keyboard that covers it.
visualViewport.addEventListener("resize", () => {
  if (visualViewport.scale !== 1) return;
  document.documentElement.style.setProperty("--height", `${visualViewport.height}px`);
});

takeToken();
enter();
relabel();
