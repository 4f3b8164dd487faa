// Which messages are one's own: those whose tag this browser has made, and that this tab has said: as a member of the room.

import { local, session } from "./storage.js";
import "./tab.js"; // A copy of a tab forgets the other's members first.

const most = 1000;
const tags = new Set(local.get("said"));
const members = new Set(session.get("members"));

export function remember(tag) {
  tags.add(tag);
  local.set("said", [...(local.get("said") ?? []), tag].slice(-most));
}

export function speakAs(member) {
  members.add(member);
  session.set("members", [...members]);
}

export const isOwn = ({ member, tag }) => tag !== undefined && tags.has(tag) && members.has(member);
