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

  /** Joins a room with the remembered name, if the card does not wait for one. */
  enter(conversation) {
    this.conversation = conversation;
    const name = session.get("name") ?? local.get("name");
    if (conversation.isIn) return this.follow(name);
    // Without a name, the server may know the user by a token or a cookie. Otherwise it rejects the client, and the card
    // asks for a name.
    if (this.entry.isNeeded) this.entry.ask(name ?? "");
    else conversation.join(name);
  }

  /** The reader is in the room already, perhaps with an earlier name. */
  follow(name) {
    this.settle();
    if (name) this.conversation.follow(name);
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

  /** The reader has joined, or is not admitted. Returns whether the card was open for a name to join with. */
  settle() {
    const wasNeeded = this.entry.isNeeded ?? false;
    if (wasNeeded) this.entry.close();
    return wasNeeded;
  }

  /** The server has rejected the name. */
  rejected(code, proposal) {
    const { conversation, entry } = this;
    const wanted = (conversation.isIn ? this.chosen : conversation.name) ?? "";
    if (!conversation.isIn && !entry.isNeeded) entry.ask(wanted);
    this.proposed = proposal;
    if (!wanted) return conversation.postpone();
    entry.reject(code === "nameTaken" ? words.nameTaken(isolated(wanted)) : words.nameInvalid, proposal);
  }

  /** Shows that the name is verified, if the reader is renaming. Returns whether that is so. */
  refused() {
    const isRenaming = this.entry.isRename && this.entry.isOpen;
    if (isRenaming) this.entry.reject(words.nameVerified);
    return isRenaming;
  }

  /** A muted reader cannot be renamed. */
  muted() {
    if (this.entry.isRename && this.entry.isOpen) this.entry.reject(words.nameMuted);
  }

  /** The server has accepted the name. */
  accepted(name) {
    session.set("name", name);
    // If the name was taken by another tab, this tab has another name for as long as it is open.
    const isStopgap = this.chosen === this.proposed && local.get("name") !== undefined;
    if (this.chosen !== undefined && !isStopgap) local.set("name", name);
    if (this.chosen !== undefined && this.entry.isRename) this.entry.close();
    this.chosen = undefined;
  }

  /** The server cannot be reached. */
  unreachable() {
    if (this.entry.isOpen) this.entry.note(words.unreachable);
  }

  label() {
    this.entry.label();
  }
}
