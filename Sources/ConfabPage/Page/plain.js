// Messages of plain clients have three parts, separated by line breaks:
//   At <the sender's date>
//   来自用户<number>
//   <the text, any number of lines>

/** Returns the number and the text, or `null` for other messages, which the protocol allows. */
export function parse(data) {
  const parts = /^At [^\n]*\n来自用户(\d{1,9})\n([^]*)$/.exec(data);
  return parts && { user: parts[1], text: parts[2] };
}
