// Links in what people write. Only http and https, and nothing that pretends to be another host.

// East Asian texts have no spaces around a link: it begins behind their characters, and ends before them.
const eastAsian =
  String.raw`\p{scx=Han}\p{scx=Hiragana}\p{scx=Katakana}\p{scx=Hangul}\p{scx=Bopomofo}\u3000-\u303f\uff00-\uffef`;
// It ends at quotes and at marks of direction, too.
const candidate = new RegExp(
  String.raw`(?<![[\p{L}\p{N}_@]--[${eastAsian}]])(?:https?:\/\/|www\.)[^\s<>"“”‘’«»\p{Cf}\p{Cc}${eastAsian}]+`, "giv");

// A host has letters, digits, marks and these. It ends at anything else: characters that only look like a slash would hide
// where it ends, U+2044, U+2215 and U+29F8 among them.
const authority = /^(?:https?:\/\/)?[\p{L}\p{N}\p{M}\-.:@_~%\[\]]*/iv;

/** The parts of a text in order: `{ text }`, or `{ text, url }` for a link. */
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

/** Only as far as the host, if what follows it is neither a path, a query nor a fragment. */
function bounded(link) {
  const host = authority.exec(link)[0];
  return "/?#".includes(link.charAt(host.length)) ? link : host;
}

/** Without the punctuation that belongs to the sentence, and brackets that were not opened within. */
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

/** An element with the text in it, its links to be clicked. */
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
