/** Makes an id of hexadecimal digits from random numbers between 0 and 1. The id is unique, but not a secret. */
export function hexId(random: () => number, digits: number): string {
  let id = ''
  while (id.length < digits) id += Math.floor(random() * 16).toString(16)
  return id
}
