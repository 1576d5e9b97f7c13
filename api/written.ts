/** The type by which what a server writes is held to what is read of it: a field that no reader knows does not compile. */

/**
 * A record, or an object of a file, of which T is what is read.
 * @template T what a reader of api/ gives
 * @template More fields for people and other programs, which no reader of ours needs
 */
export type Written<T, More extends string = never> = { readonly [K in keyof T | More]?: unknown }
