// The form that messages have in the plain protocol, three parts with a line break between:
//   At <the sender's date>
//   来自用户<number>
//   <what was said, any number of lines>

export function compose(user, text) {
  return `At ${new Date().toString()}\n来自用户${user}\n${text}`;
}

/** The parts of a message, or null when it has another form: the protocol lets anything through. */
export function parse(data) {
  const parts = /^At ([^\n]*)\n来自用户(\d{1,9})\n([^]*)$/.exec(data);
  if (!parts) return null;
  const date = new Date(parts[1].replace(/\s*\(.*\)$/, ""));
  return { date: isNaN(date) ? null : date, user: parts[2], text: parts[3] };
}
