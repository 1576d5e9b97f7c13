/** Puts the parts together that know the models: which there are, which are wanted, and how they are loaded. */

import type { Hosts } from '../members/hosts.js'
import type { Membership } from '../members/membership.js'
import { Catalog } from './catalog.js'
import { FatalLoads } from './fatal-loads.js'
import { Loading, type LoadingOptions } from './loading.js'
import { WantedModels } from './wanted.js'

export interface ModelsOptions extends Omit<LoadingOptions, 'catalog' | 'wanted' | 'fatal'> {
  membership: Membership
  hosts: Hosts
  /** The name of the host that we are on. */
  local: string
}

export function createModels(o: ModelsOptions) {
  const wanted = new WantedModels()
  const fatal = new FatalLoads(o.clock)
  const catalog = new Catalog(o.membership, o.hosts, wanted, fatal, o.local)
  const loading = new Loading({ ...o, catalog, wanted, fatal })
  return { wanted, fatal, catalog, loading }
}
