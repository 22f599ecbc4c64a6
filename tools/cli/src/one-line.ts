/** Longer than what a person reads; a shape or a name in a broken file can have any length. */
const longest = 900;

/** A message as one line of a terminal: names in broken files can hold line breaks and control characters, which become `\u000a`. */
export function oneLine(message: string): string {
  const text = message.replaceAll(
    /[\p{Cc}\p{Zl}\p{Zp}]/gu,
    (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`,
  );
  return text.length > longest ? `${text.slice(0, longest)}…` : text;
}
