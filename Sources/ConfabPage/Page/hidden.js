// The names whose messages this browser hides. Other users see the messages, and the members are not informed.

import { local } from "./storage.js";

const most = 500;
const names = new Set(local.get("hidden"));

export const hides = (name) => names.has(name);
export const isHidden = ({ from }) => from !== undefined && names.has(from);

export function hide(name, isHidden) {
  if (isHidden) names.add(name);
  else names.delete(name);
  local.set("hidden", [...names].slice(-most));
}
