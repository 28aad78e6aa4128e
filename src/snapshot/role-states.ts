import { parseHolder, type RegisteredInstance, type Store } from '../store/store.ts';
import { isoOf } from '../task/view.ts';
import type { StateLine } from './format.ts';

/** Attempts of one worker in one shard that are named. */
const HELD_MAX = 1_000;

/**
 * What the roles were doing, for whoever looks into a snapshot later: who owned which shard, who held which attempts, and
 * what each instance said of itself. Restoring takes nothing from it: owners are elected, workers register, leases end.
 */
export async function roleStates(store: Store, shards: number): Promise<StateLine[]> {
  const { instances } = await store.instances();
  const numbers = Array.from({ length: shards }, (_, shard) => shard);
  const owners = await Promise.all(numbers.map((shard) => store.owner(shard)));
  const held = (await Promise.all(numbers.map((shard) => heldIn(store, shard)))).flat();
  return instances.flatMap((instance) => {
    const { id, role, incarnation } = instance;
    const lines: StateLine[] = [];
    if (role === 'coordinator' || role === 'all') {
      const owns = owners.flatMap((owner, shard) => (owner?.instance === id ? [{ shard, epoch: owner.epoch }] : []));
      lines.push({ type: 'coordinator_state', ...factsOf(instance), owns });
    }
    if (role === 'distributor' || role === 'all') lines.push({ type: 'distributor_state', ...factsOf(instance) });
    if (role !== 'worker') return lines;
    const mine = held.filter((one) => one.worker === id && one.incarnation === incarnation);
    const holds = mine.map(({ shard, attempts }) => ({ shard, attempts }));
    return [{ type: 'worker_state', ...factsOf(instance), holds }];
  });
}

function factsOf({ id, incarnation, host, pid, version, startedAt, facts }: RegisteredInstance) {
  return { id, incarnation, host, pid, version, startedAt: isoOf(startedAt), facts };
}

async function heldIn(store: Store, shard: number) {
  const holders = await store.holders(shard);
  return Promise.all(
    holders.map(async (holder) => {
      const { entries } = await store.range(shard, `held:${holder}`, Number.MAX_SAFE_INTEGER, HELD_MAX);
      return { shard, ...parseHolder(holder), attempts: entries.map(([member]) => member) };
    }),
  );
}
