// The page's texts, in the browser's preferred language or the one that the reader has chosen.

import { local } from "./storage.js";
import { chinese } from "./words-zh.js";
import { english } from "./words-en.js";

const dictionaries = { en: english, zh: chinese };
const formatters = new Map();

/** "en" or "zh", and its words. `speak` changes both. */
export let language = local.get("language") ?? preferred(navigator.languages);
export let words = dictionaries[language];

export function speak(code) {
  language = code;
  words = dictionaries[code];
  local.set("language", code);
}

/** Returns the first of the browser's languages that the page supports. */
export function preferred(languages) {
  const known = languages.map((tag) => tag.toLowerCase().split("-")[0]).find((code) => dictionaries[code]);
  return known ?? "en";
}

/** Fills in the texts that the markup names: text (`data-words`), label (`data-label`), placeholder (`data-hint`). */
export function label(root) {
  document.documentElement.lang = words.tag;
  for (const element of root.querySelectorAll("[data-words]")) element.textContent = words[element.dataset.words];
  for (const element of root.querySelectorAll("[data-hint]")) element.placeholder = words[element.dataset.hint];
  for (const element of root.querySelectorAll("[data-label]")) {
    element.setAttribute("aria-label", words[element.dataset.label]);
    if (element.matches("button, a")) element.title = words[element.dataset.label];
  }
}

/** Joins names as the language does: "Ann, Bob and Eve". */
export function list(items) {
  return new Intl.ListFormat(words.tag, { type: "conjunction" }).format(items);
}

export const timeOfDay = (at) => formatter({ hour: "numeric", minute: "2-digit" }).format(at);
export const fullTime = (at) => formatter({ dateStyle: "full", timeStyle: "medium" }).format(at);

/** Returns "Today", "Yesterday", or the date. */
export function day(at, now = Date.now()) {
  const distance = Math.round((midnight(now) - midnight(at)) / 86_400_000);
  if (distance === 0) return words.today;
  if (distance === 1) return words.yesterday;
  const year = new Date(at).getFullYear() === new Date(now).getFullYear() ? undefined : "numeric";
  return formatter({ weekday: "long", day: "numeric", month: "long", year }).format(at);
}

/** Cached, because formatters are expensive to create. */
function formatter(options) {
  const key = words.tag + JSON.stringify(options);
  if (!formatters.has(key)) formatters.set(key, new Intl.DateTimeFormat(words.tag, options));
  return formatters.get(key);
}

/** Returns the midnight before a time, in local time. */
export function midnight(at) {
  return new Date(at).setHours(0, 0, 0, 0);
}
