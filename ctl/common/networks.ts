import { networkInterfaces } from 'node:os'

/** This machine's addresses that others may reach it by: not loopback, nor those that mean another machine on each network. */
export const ownAddresses = (): string[] =>
  Object.values(networkInterfaces()).flatMap((all = []) =>
    all.filter(({ internal, scopeid }) => !internal && !scopeid).map(({ address }) => address),
  )
