import { capsOf } from '../../src/scheduling/caps.ts';
import { indexesOf } from '../../src/store/indexes.ts';
import type { IndexChange, Store } from '../../src/store/store.ts';
import { shardOf } from '../../src/task/id.ts';
import type { SystemPolicy } from '../../src/task/policy.ts';
import type { TaskRecord } from '../../src/task/task.ts';
import type { Ledger } from './ledger.ts';
import type { Member } from './members.ts';
import type { SimServer } from './sim-server.ts';

const ALL = 1_000_000;

export interface Inspection {
  store: Store;
  ledger: Ledger;
  policy: SystemPolicy;
  server: SimServer;
  living: Member[];
}

/** Looks through the store while nothing moves: every index entry has its record, every record its entries. */
export async function inspectStore(inspection: Inspection): Promise<void> {
  for (let shard = 0; shard < inspection.policy.shards; shard++) {
    const wanted = wantedEntries(inspection, shard);
    await compareIndexes(inspection, shard, wanted);
    await compareLanes(inspection, shard, wanted);
    await findLeftovers(inspection, shard);
  }
}

type Wanted = Map<string, Map<string, number>>;

/** By index or lane: its members (for lanes only their number can be seen) with their scores. */
function wantedEntries({ ledger, policy }: Inspection, shard: number): Wanted {
  const wanted: Wanted = new Map();
  for (const task of ledger.tasks.values()) {
    if (shardOf(task.id) !== shard) continue;
    for (const entry of indexesOf(task as TaskRecord, policy)) want(wanted, task.id, entry);
  }
  return wanted;
}

function want(wanted: Wanted, id: string, entry: IndexChange): void {
  const [name, member] = 'lane' in entry ? [`lane ${entry.lane}`, id] : [entry.index, entry.member];
  const members = wanted.get(name) ?? new Map<string, number>();
  wanted.set(name, members);
  // A block expires when its first task does.
  members.set(member, Math.min(members.get(member) ?? Number.POSITIVE_INFINITY, entry.score));
}

async function compareIndexes({ store, ledger }: Inspection, shard: number, wanted: Wanted): Promise<void> {
  const holders = new Set([...(await store.holders(shard)), ...ledger.holders]);
  const caps = new Set([...ledger.tasks.values()].flatMap(({ spec }) => capsOf(spec, true)));
  const names = [
    ...(['due', 'deadline', 'expiry'] as const),
    ...[...holders].map((holder) => `held:${holder}` as const),
    ...[...caps].map((cap) => `cap:${cap}` as const),
  ];
  for (const name of names) {
    const { entries } = await store.range(shard, name, Number.MAX_SAFE_INTEGER, ALL);
    const found = JSON.stringify(sorted(entries));
    const right = JSON.stringify(sorted([...(wanted.get(name) ?? [])]));
    if (found !== right)
      ledger.violate('indexes-follow-records', `${name} of shard ${shard} is ${found}, not ${right}`);
  }
}

async function compareLanes({ store, ledger }: Inspection, shard: number, wanted: Wanted): Promise<void> {
  const { queues } = await store.queues(shard, ALL);
  const found = new Map(queues.map(({ lane, length }) => [`lane ${lane}`, length]));
  for (const name of new Set([...found.keys(), ...[...wanted.keys()].filter((key) => key.startsWith('lane '))])) {
    const right = wanted.get(name)?.size ?? 0;
    if (found.get(name) !== right) {
      ledger.violate('indexes-follow-records', `${name} of shard ${shard} has ${found.get(name)} tasks, not ${right}`);
    }
  }
}

/** Reservations, unread mail, reports nobody read, and what belonged to the dead. */
async function findLeftovers({ store, ledger, server }: Inspection, shard: number): Promise<void> {
  const reserved = await store.expireReservations(shard);
  if (reserved > 0) ledger.violate('nothing-is-left-behind', `${reserved} reservations of shard ${shard}`);
  // A commit that arrives a second time, after its receiver was retired, leaves a mailbox that nobody knows of any more.
  const holders = await store.holders(shard);
  for (const stream of [...holders.map((holder) => `mail:${holder}` as const), 'reports' as const]) {
    const { id } = (await server.apply('inspector', 'lastEntry', [shard, stream])) as { id: string };
    if (id !== '0-0') ledger.violate('nothing-is-left-behind', `${stream} of shard ${shard} ends with ${id}`);
  }
}

function sorted(entries: [string, number][]): [string, number][] {
  return entries.sort(([a], [b]) => (a < b ? -1 : 1));
}
