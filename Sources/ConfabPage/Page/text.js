// Characters as readers count them: an emoji with a skin tone is one.

const segmenter = globalThis.Intl?.Segmenter && new Intl.Segmenter(undefined, { granularity: "grapheme" });

/** Returns the characters of a text, at most the first `limit`. */
export function graphemes(text, limit = Infinity) {
  if (!segmenter) return [...text].slice(0, limit);
  const result = [];
  for (const { segment } of segmenter.segment(text)) {
    if (result.length === limit) break;
    result.push(segment);
  }
  return result;
}

export const countGraphemes = (text) => graphemes(text).length;
