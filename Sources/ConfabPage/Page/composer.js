// The field for writing. Enter sends, Shift+Enter breaks the line, and an input method may use Enter itself. In the empty
// field, the up arrow opens the menu of the last own message.

import { local } from "./storage.js";
import { own, inherit } from "./tab.js";
import { countGraphemes } from "./text.js";
import { words } from "./words.js";

/** The remaining characters are shown when they are fewer than this. */
const close = 200;

export class Composer {
  limit = 4000;

  /** The message that is being edited. */
  editing = undefined;

  constructor(form, { send, edit, menu, typed }) {
    this.form = form;
    this.field = form.querySelector("textarea");
    this.button = form.querySelector("button");
    this.counter = form.querySelector("output");
    this.send = send;
    this.edit = edit;
    this.note = document.getElementById("editing");
    this.note.querySelector("button").addEventListener("click", () => this.stopEditing());
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      this.submit();
    });
    this.field.addEventListener("keydown", (event) => {
      if (event.key === "ArrowUp" && this.field.value === "" && menu()) return event.preventDefault();
      if (event.key === "Escape" && this.editing && !event.isComposing) this.stopEditing();
      // 229: Safari ends the composition before the event of the key that ended it.
      if (event.key !== "Enter" || event.shiftKey || event.isComposing || event.keyCode === 229) return;
      event.preventDefault();
      this.submit();
    });
    this.field.addEventListener("input", () => {
      this.changed();
      if (this.field.value.trim()) typed();
    });
  }

  /** Enters a room and restores its draft. */
  async enter(room) {
    this.setEditing(undefined);
    this.name = own("draft", room);
    this.show(local.get(this.name) ?? "");
    const left = (await inherit("draft", room)).join("\n");
    if (left && !this.field.value && this.name === own("draft", room)) this.show(left);
  }

  submit() {
    if (!this.canSend) return;
    const text = this.field.value.trim();
    if (this.editing) {
      if (this.edit(this.editing, text)) this.stopEditing();
      return;
    }
    this.send(text);
    this.show("");
    this.focus();
  }

  /** Shows the text of a message to edit. The draft is kept. */
  startEditing(message) {
    this.setEditing(message);
    this.show(message.text);
    this.focus();
  }

  /** Adds a text at the end of the field. */
  add(text) {
    const { value } = this.field;
    this.show(value === "" || /\s$/u.test(value) ? value + text : `${value} ${text}`);
    this.focus();
  }

  stopEditing() {
    this.setEditing(undefined);
    this.show(local.get(this.name) ?? "");
    this.focus();
  }

  setEditing(message) {
    this.editing = message;
    this.note.hidden = !message;
  }

  focus() {
    this.field.focus({ preventScroll: true });
  }

  show(text) {
    this.field.value = text;
    this.changed();
  }

  changed() {
    const text = this.field.value;
    if (!this.editing) local.set(this.name, text);
    const trimmed = text.trim();
    // Each character has at least one code unit, so short texts need no counting.
    const left = this.limit - (trimmed.length + close < this.limit ? trimmed.length : countGraphemes(trimmed));
    this.canSend = trimmed !== "" && left >= 0;
    this.button.disabled = !this.canSend;
    this.form.classList.toggle("too-long", left < 0);
    this.field.ariaInvalid = String(left < 0);
    this.counter.value = left > close ? "" : left < 0 ? words.tooLong(-left) : words.left(left);
    if (!CSS.supports("field-sizing: content")) this.grow();
  }

  grow() {
    this.field.style.height = "auto";
    this.field.style.height = `${this.field.scrollHeight}px`;
  }
}
