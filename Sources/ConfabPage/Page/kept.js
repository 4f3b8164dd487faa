// The newest messages of a room, to show them again without a request.

const most = 100;

/** Returns the message after an edit or a removal. The event of an edit has no text if the message was edited again. */
export function changed(message, { type, text }) {
  if (type === "removed") return { ...message, text: "", removed: true };
  return text === undefined ? message : { ...message, text, edited: true };
}

/** Identifies a message that its sender had to repeat. */
export const mark = ({ tag, member, from }) => `${tag} ${member ?? from}`;

export class Kept {
  messages = [];

  /** The marks of the messages. */
  get marks() {
    return new Set(this.messages.map(mark));
  }

  add(messages) {
    const { marks } = this;
    const fresh = messages.filter((message) => message.tag === undefined || !marks.has(mark(message)));
    this.messages = [...this.messages, ...fresh].slice(-most);
  }

  change(change) {
    const { message: id } = change;
    this.messages = this.messages.map((message) => (message.id === id ? changed(message, change) : message));
  }

  clear() {
    this.messages = [];
  }
}
