// The card that asks for a name, for joining or renaming.

import { avatar } from "./names.js";
import { nameOf, roomOf } from "./room.js";
import { words } from "./words.js";

export class Entry {
  /** `submitted(name)` is called with the chosen name. */
  constructor(dialog, submitted) {
    this.dialog = dialog;
    const find = (selector) => dialog.querySelector(selector);
    [this.title, this.hint, this.problem] = [find("h2"), find("#entry-hint"), find("#entry-problem")];
    [this.field, this.button, this.cancel] = [find("input"), find("#enter"), find("#cancel")];
    this.face = find(".face");
    find("form").addEventListener("submit", (event) => {
      event.preventDefault();
      const name = this.field.value.normalize("NFC").trim().replace(/\s+/gu, " ");
      if (!name) return this.reject(words.nameEmpty);
      this.problem.textContent = "";
      this.wait(true);
      submitted(name);
    });
    this.field.addEventListener("input", () => {
      this.reject("");
      this.showFace();
    });
    this.cancel.addEventListener("click", () => dialog.close());
    dialog.addEventListener("cancel", (event) => {
      if (!this.isRename) event.preventDefault();
    });
    // Some browsers close the dialog on the second Escape.
    dialog.addEventListener("close", () => {
      if (this.isNeeded) this.dialog.showModal();
    });
  }

  get isOpen() {
    return this.dialog.open;
  }

  /** Opens the card, for joining or for a rename. */
  ask(name, { isRename = false } = {}) {
    this.isRename = isRename;
    this.isNeeded = !isRename;
    this.dialog.setAttribute("closedby", isRename ? "closerequest" : "none");
    this.label();
    this.field.value = name;
    this.reject("");
    this.showFace();
    this.wait(false);
    if (!this.isOpen) this.dialog.showModal();
    this.field.select();
  }

  label() {
    const room = roomOf(location.hash);
    const enterTitle = room === "/" ? words.enterLobby : words.enterRoom(nameOf(room));
    this.title.textContent = this.isRename ? words.renameTitle : enterTitle;
    this.button.textContent = this.isRename ? words.rename : words.enter;
    this.cancel.hidden = !this.isRename;
  }

  /** Shows the problem with the name, and the server's proposal, if any. */
  reject(problem, proposal) {
    this.problem.textContent = problem;
    this.field.ariaInvalid = String(problem !== "");
    this.wait(false);
    if (!proposal) return;
    this.field.value = proposal;
    this.showFace();
    this.field.select();
  }

  /** Shows why joining takes long. A rename can be changed at once. */
  note(text) {
    this.problem.textContent = text;
    if (this.isRename) this.wait(false);
  }

  wait(isWaiting) {
    this.button.disabled = isWaiting;
    this.field.readOnly = isWaiting;
  }

  close() {
    this.isNeeded = false;
    this.dialog.close();
  }

  showFace() {
    const name = this.field.value.trim();
    this.face.replaceChildren(avatar(name));
  }
}
