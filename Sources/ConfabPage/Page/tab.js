// The tab's identity. A tab keeps its drafts and unsent messages under its id, which it has until it is closed. The
// next tab that enters a room takes over the values of closed tabs in that room.

import { local, session } from "./storage.js";

const lock = (id) => `confab/${id}`;

export const tab = await claim();

/** The storage name of this tab's value in a room, which is a path. */
export const own = (kind, room) => `${kind}/${tab}${room}`;

/** Returns this tab's id. A copied tab has a copy of the other's storage, but the other still holds the lock. */
async function claim() {
  let id = session.get("tab");
  if (!id || !(await hold(id))) {
    for (const name of session.names()) session.set(name, undefined);
    id = randomId();
    await hold(id);
  }
  session.set("tab", id);
  return id;
}

/** Holds a lock until the tab is closed. A page that reloads releases its lock after a moment. */
function hold(id) {
  if (!navigator.locks) return true;
  return new Promise((resolve) => {
    const forever = () => {
      resolve(true);
      return new Promise(() => {});
    };
    navigator.locks.request(lock(id), { signal: AbortSignal.timeout(1000) }, forever).catch(() => resolve(false));
  });
}

/** Takes the values of `kind` in a room from closed tabs. Without locks, every other tab is considered closed. */
export async function inherit(kind, room) {
  const held = new Set((await navigator.locks?.query())?.held.map(({ name }) => name));
  const values = [];
  for (const name of local.names(`${kind}/`)) {
    const [, owner, ...rest] = name.split("/");
    if (owner === tab || held.has(lock(owner)) || `/${rest.join("/")}` !== room) continue;
    values.push(local.get(name));
    local.set(name, undefined);
  }
  return values;
}

/** Returns a short id that cannot be guessed, of letters, digits, - and _. */
export function randomId() {
  const bytes = crypto.getRandomValues(new Uint8Array(12));
  return btoa(String.fromCharCode(...bytes)).replaceAll("+", "-").replaceAll("/", "_");
}
