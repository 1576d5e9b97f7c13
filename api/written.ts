/**
 * Types that hold what a server writes to what readers accept: writing a field that no reader knows does not compile.
 */

/**
 * A record, or an object in a file, for the writer; T is the type that its reader returns. An object literal of this
 * type can have no other fields.
 * @template T what a reader of api/ returns
 * @template More fields for people and other programs, which no reader of ours needs
 */
export type Written<T, More extends string = never> = T extends readonly (infer E)[]
  ? readonly Written<E>[]
  : T extends object
    ? { readonly [K in keyof T]?: Written<T[K]> | undefined } & { readonly [K in More]?: unknown }
    : T

/**
 * The attributes of a record, for the writer; T is the type that its reader returns. A list is one text with commas
 * between its items.
 */
export type Attributes<T> = {
  readonly [K in keyof T]?: (Exclude<T[K], undefined> extends readonly unknown[] ? string : T[K]) | undefined
}
