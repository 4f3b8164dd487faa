// How names look: initials, a tint of their own, and a direction that does not leak into the sentence around them.

import { graphemes } from "./text.js";

export const tints = 12;

/** One or two characters for a name: "AL" for "Ann Lee", the first one of others. */
export function initials(name) {
  const first = (word) => graphemes(word, 1)[0] ?? "";
  const words = name.split(" ");
  const letters = /^\p{L}/u;
  const isPair = words.length > 1 && letters.test(words[0]) && letters.test(words.at(-1));
  return (isPair ? first(words[0]) + first(words.at(-1)) : first(name)).toUpperCase();
}

/** The same for everyone who sees the name. */
export function tint(name) {
  let hash = 0;
  for (const character of name.toLowerCase()) {
    hash = Math.imul(hash ^ character.codePointAt(0), 0x9e3779b1);
    hash ^= hash >>> 15;
  }
  return (hash >>> 0) % tints;
}

/** For a sentence: the name with marks around it that keep its direction inside. */
export const isolated = (name) => `\u2068${name}\u2069`;

/** The coloured circle with a name's initials; without a name an empty one. */
export function avatar(name) {
  const element = document.createElement("span");
  element.className = "avatar";
  element.ariaHidden = "true";
  element.textContent = name ? initials(name) : "";
  if (name) element.dataset.tint = tint(name);
  return element;
}
