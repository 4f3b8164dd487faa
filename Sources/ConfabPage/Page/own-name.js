// The reader's name: the page asks for it, the server accepts it or proposes another one, and the browser remembers it.

import { Entry } from "./entry.js";
import { isolated } from "./names.js";
import { local, session } from "./storage.js";
import { words } from "./words.js";

export class OwnName {
  /** `dialog` is the card that asks for a name. */
  constructor(dialog) {
    this.entry = new Entry(dialog, (name) => this.submitted(name));
  }

  /** Joins a room with the remembered name, unless the card asks for a name. */
  enter(conversation) {
    this.conversation = conversation;
    const name = session.get("name") ?? local.get("name");
    // Without a name, the server may know the user by a token or a cookie. Otherwise it rejects the client, and the card
    // asks for a name.
    if (this.entry.isNeeded) this.entry.ask(name ?? "");
    else conversation.join(name);
  }

  /** Asks for another name. */
  rename() {
    this.entry.ask(this.conversation.name, { isRename: true });
  }

  submitted(name) {
    this.chosen = name;
    if (!this.entry.isRename) return this.conversation.join(name);
    if (!this.conversation.rename(name)) this.entry.reject(words.unreachable);
  }

  /** Closes the card, because the reader has joined or is not admitted. Returns whether it was open for joining. */
  settle() {
    const wasNeeded = this.entry.isNeeded ?? false;
    if (wasNeeded) this.entry.close();
    return wasNeeded;
  }

  /** Asks for another name, because the server has rejected the name. */
  rejected(code, proposal) {
    const { conversation, entry } = this;
    const wanted = (conversation.isIn ? this.chosen : conversation.name) ?? "";
    if (!conversation.isIn && !entry.isNeeded) entry.ask(wanted);
    this.proposed = proposal;
    // The server closes connections that do not join in time, so the next connection begins with the name.
    if (!wanted) return conversation.connection.end();
    entry.reject(code === "nameTaken" ? words.nameTaken(isolated(wanted)) : words.nameInvalid, proposal);
  }

  /** Shows that the name is verified, if the reader is renaming. Returns whether the reader is renaming. */
  refused() {
    const isRenaming = this.entry.isRename && this.entry.isOpen;
    if (isRenaming) this.entry.reject(words.nameVerified);
    return isRenaming;
  }

  /** Remembers the name, because the server has accepted it. */
  accepted(name) {
    session.set("name", name);
    // If the name was taken by another tab, this tab has another name for as long as it is open.
    const isStopgap = this.chosen === this.proposed && local.get("name") !== undefined;
    if (this.chosen !== undefined && !isStopgap) local.set("name", name);
    if (this.chosen !== undefined && this.entry.isRename) this.entry.close();
    this.chosen = undefined;
  }

  /** Shows that the server cannot be reached. */
  unreachable() {
    if (this.entry.isOpen) this.entry.note(words.unreachable);
  }

  label() {
    this.entry.label();
  }
}
