/** This machine's network addresses. */
import { networkInterfaces } from 'node:os'

/**
 * The addresses at which other machines may reach this one. Loopback and link-local addresses, which depend on the
 * network, are left out.
 */
export const ownAddresses = (): string[] =>
  Object.values(networkInterfaces()).flatMap((all = []) =>
    all.filter(({ internal, scopeid }) => !internal && !scopeid).map(({ address }) => address),
  )
