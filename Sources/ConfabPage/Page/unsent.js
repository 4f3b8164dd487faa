// The rows of the reader's unsent messages, below the sent messages.

import { bubble, element } from "./bubble.js";
import { words } from "./words.js";

export class Unsent {
  /** `retry(tag)` and `discard(tag)` are called by the buttons of a failed message. */
  constructor(rows, { retry, discard }) {
    this.rows = rows;
    this.retry = retry;
    this.discard = discard;
  }

  /** `limited`: the tag of a rate-limited message; `isFollowing`: whether the row above is the reader's own. */
  show(entries, { limited, isFollowing }) {
    const rows = new Map([...this.rows.children].map((row) => [row.key, row]));
    const wanted = entries.map((entry) => {
      const trouble = entry.failed ?? (entry.tag === limited ? "rateLimited" : "");
      const key = `${entry.tag} ${trouble} ${words.tag}`;
      return rows.get(key) ?? this.row(entry, trouble, key);
    });
    wanted.forEach((row, index) => row.classList.toggle("follows", index > 0 || isFollowing));
    this.rows.replaceChildren(...wanted);
  }

  row(entry, trouble, key) {
    const row = bubble(entry, entry.failed ? "failed" : "sending");
    row.key = key;
    if (!trouble) return row;
    const line = element("p", "trouble");
    line.append(words[trouble] ?? words.failed);
    if (entry.failed) {
      const button = (text, action) => {
        const result = element("button", "small");
        result.type = "button";
        result.textContent = text;
        result.onclick = () => action(entry.tag);
        line.append(result);
      };
      button(words.retry, this.retry);
      button(words.discard, this.discard);
    }
    row.querySelector(".said").append(line);
    return row;
  }
}
