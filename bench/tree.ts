/** What is served on both sides: the same names, sizes and bytes. */
export const SMALL = 100
export const LARGE = 64 * 1024 * 1024
/** Sizes of the directories that growth is measured with. */
export const SIZES = [10, 1000, 100_000] as const

export const directoryName = (size: number): string => `d${size}`
export const entryName = (i: number): string => `entry${i}`
