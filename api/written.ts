/** The type by which what a server writes is held to what is read of it: a field that no reader knows does not compile. */

/**
 * A record, or an object of a file, of which T is what is read. An object literal that is given this type has no other fields than those.
 * @template T what a reader of api/ gives
 * @template More fields for people and other programs, which no reader of ours needs
 */
export type Written<T, More extends string = never> = T extends readonly (infer E)[]
  ? readonly Written<E>[]
  : T extends object
    ? { readonly [K in keyof T]?: Written<T[K]> | undefined } & { readonly [K in More]?: unknown }
    : T

/** A record's attributes, as text: T's names, whatever the type of each. */
export type Attributes<T, More extends string = never> = {
  readonly [K in keyof T | More]?: string | number | boolean | undefined
}
