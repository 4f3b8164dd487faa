// A room's name in the address: `#tea` is the path `/tea`. Without a name it is the lobby, `/`.

import { words } from "./words.js";

/** The longest name, in code points. Its path is within the server's limit. */
const longest = 80;

export function roomOf(hash) {
  try {
    const name = [...decodeURIComponent(hash.replace(/^#/, "")).normalize("NFC")].slice(0, longest).join("");
    return pathOf(name);
  } catch {
    return "/";
  }
}

export function pathOf(name) {
  const parts = name.split("/").map((part) => part.trim().replace(/\s+/gu, " "));
  return `/${parts.filter((part) => !["", ".", ".."].includes(part)).map(encodeURIComponent).join("/")}`;
}

export const hashOf = (room) => (room === "/" ? "#" : `#${room.slice(1)}`);

export const nameOf = (room) => (room === "/" ? words.lobby : `#${decodeURIComponent(room.slice(1))}`);
