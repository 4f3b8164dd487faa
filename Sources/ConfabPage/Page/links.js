// Finds links in messages: only http and https, and only links that show their true host.

// East Asian texts have no spaces around links: a link begins after such characters, and ends before them.
const eastAsian =
  String.raw`\p{scx=Han}\p{scx=Hiragana}\p{scx=Katakana}\p{scx=Hangul}\p{scx=Bopomofo}\u3000-\u303f\uff00-\uffef`;
// A link also ends at quotes and at direction marks.
const candidate = new RegExp(
  String.raw`(?<![[\p{L}\p{N}_@]--[${eastAsian}]])(?:https?:\/\/|www\.)[^\s<>"“”‘’«»\p{Cf}\p{Cc}${eastAsian}]+`, "giv");

// A host has letters, digits, marks, and the characters below. It ends at any other character: characters that look
// like a slash, such as U+2044, U+2215 and U+29F8, would hide where the host ends.
const authority = /^(?:https?:\/\/)?[\p{L}\p{N}\p{M}\-.:@_~%\[\]]*/iv;

/** Splits a text into parts, in order: `{ text }`, or `{ text, url }` for a link. */
export function split(text) {
  const parts = [];
  let end = 0;
  for (const match of text.matchAll(candidate)) {
    const link = trimmed(bounded(match[0]));
    const url = address(link);
    if (!url) continue;
    if (match.index > end) parts.push({ text: text.slice(end, match.index) });
    parts.push({ text: link, url });
    end = match.index + link.length;
  }
  if (end < text.length) parts.push({ text: text.slice(end) });
  return parts;
}

/** Cuts the link after the host if no path, query or fragment follows. */
function bounded(link) {
  const host = authority.exec(link)[0];
  return "/?#".includes(link.charAt(host.length)) ? link : host;
}

/** Removes trailing punctuation and brackets that were not opened within the link. */
function trimmed(link) {
  for (;;) {
    const last = link.at(-1);
    const opening = { ")": "(", "]": "[", "}": "{" }[last];
    const isOpen = opening && link.split(opening).length >= link.split(last).length;
    if (!(".,;:!?'*_~…".includes(last) || (opening && !isOpen))) return link;
    link = link.slice(0, -last.length);
  }
}

function address(link) {
  try {
    const url = new URL(/^www\./i.test(link) ? `https://${link}` : link);
    const isSafe = (url.protocol === "http:" || url.protocol === "https:") && !url.username && !url.password;
    return isSafe && url.hostname ? url.href : null;
  } catch {
    return null;
  }
}

/** Returns an element with the text and clickable links. */
export function linked(text) {
  const element = document.createElement("span");
  element.className = "text";
  for (const part of split(text)) {
    if (!part.url) {
      element.append(part.text);
      continue;
    }
    const link = document.createElement("a");
    link.href = part.url;
    link.target = "_blank";
    link.rel = "noopener noreferrer nofollow ugc";
    link.dir = "ltr";
    link.textContent = part.text;
    element.append(link);
  }
  return element;
}
