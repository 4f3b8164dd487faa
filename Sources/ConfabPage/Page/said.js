// Which messages are one's own: those whose tag this browser has made, under a name that this tab has had.

import { local, session } from "./storage.js";
import "./tab.js"; // A copy of a tab forgets the other's names first.

const most = 1000;
const tags = new Set(local.get("said"));
const names = new Set(session.get("names"));

export function remember(tag) {
  tags.add(tag);
  local.set("said", [...(local.get("said") ?? []), tag].slice(-most));
}

export function callMe(name) {
  names.add(name);
  session.set("names", [...names]);
}

export const isOwn = ({ tag, from }) => tag !== undefined && tags.has(tag) && names.has(from);
