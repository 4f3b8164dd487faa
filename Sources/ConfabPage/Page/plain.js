// What clients of the plain protocol say, three parts with a line break between:
//   At <the sender's date>
//   来自用户<number>
//   <what was said, any number of lines>

/** The number and the text, or `null` when it has another form: the protocol lets anything through. */
export function parse(data) {
  const parts = /^At [^\n]*\n来自用户(\d{1,9})\n([^]*)$/.exec(data);
  return parts && { user: parts[1], text: parts[2] };
}
