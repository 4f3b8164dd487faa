// Recognizes own messages: this browser has made their tag, and this tab's member has sent them.

import { local, session } from "./storage.js";
import "./tab.js"; // A copy of a tab first removes the other tab's members.

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

/** Whether any tab of this browser has made the message's tag. */
export const isFromBrowser = ({ tag }) => tag !== undefined && (tags.has(tag) || local.get("said")?.includes(tag));
