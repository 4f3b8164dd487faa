// The appearance of names: initials, a tint, and a text direction that does not affect the sentence around them.

import { graphemes } from "./text.js";

export const tints = 12;

/** One or two characters for a name: "AL" for "Ann Lee", otherwise the first character. */
export function initials(name) {
  const first = (word) => graphemes(word, 1)[0] ?? "";
  const words = name.split(" ");
  const letters = /^\p{L}/u;
  const isPair = words.length > 1 && letters.test(words[0]) && letters.test(words.at(-1));
  return (isPair ? first(words[0]) + first(words.at(-1)) : first(name)).toUpperCase();
}

/** The tint of a name, equal for all users. */
export function tint(name) {
  let hash = 0;
  for (const character of name.toLowerCase()) {
    hash = Math.imul(hash ^ character.codePointAt(0), 0x9e3779b1);
    hash ^= hash >>> 15;
  }
  return (hash >>> 0) % tints;
}

/** The name with marks that isolate its text direction, for a sentence. */
export const isolated = (name) => `\u2068${name}\u2069`;

/** The coloured circle with a name's initials; empty without a name. */
export function avatar(name) {
  const element = document.createElement("span");
  element.className = "avatar";
  element.ariaHidden = "true";
  element.textContent = name ? initials(name) : "";
  if (name) element.dataset.tint = tint(name);
  return element;
}
