/** Short texts for the chat and its lists. */

/** A count of messages in words: `1 message`, `2 messages`. */
export const messageCount = (count: number): string => `${count} message${count === 1 ? '' : 's'}`

/** The first line of a text, cut to at most `most` characters. */
export const brief = (text: string, most: number): string => {
  const line = text.trim().split('\n')[0]!.replaceAll(/\s+/g, ' ')
  return line.length > most ? `${line.slice(0, most - 1)}…` : line
}
