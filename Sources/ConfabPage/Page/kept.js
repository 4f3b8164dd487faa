// The newest messages of a room, to show them again without a request.

const most = 100;

/** Returns the message after an edit or a removal. The event of an edit has no text if the message was edited again. */
export function changed(message, { type, text }) {
  if (type === "removed") return { ...message, text: "", removed: true };
  return text === undefined ? message : { ...message, text, edited: true };
}

export class Kept {
  messages = [];

  add(messages) {
    this.messages = [...this.messages, ...messages].slice(-most);
  }

  change(change) {
    const { message: id } = change;
    this.messages = this.messages.map((message) => (message.id === id ? changed(message, change) : message));
  }

  clear() {
    this.messages = [];
  }
}
