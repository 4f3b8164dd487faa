// The actions of a moderator. Each action asks for confirmation.

import { isolated } from "./names.js";
import { words } from "./words.js";

const muteTime = 10 * 60_000;

/** Returns actions for a menu. `send(type, subject, members)` sends the event. */
export function moderation(send) {
  const named = ({ name, member }) => (member ? { member } : { name });
  const ask = (action, members) => (subject) => {
    const reason = prompt(words.askReason[action](isolated(subject.name)), "");
    if (reason !== null) send(action, named(subject), { ...members, reason: reason.trim() || undefined });
  };
  return {
    mute: ask("mute", { for: muteTime }),
    kick: ask("kick"),
    ban: ask("ban"),
    unmute: (subject) => send("unmute", named(subject)),
  };
}
