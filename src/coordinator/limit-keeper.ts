import { capsOf, limitsOf } from '../scheduling/caps.ts';
import { type IndexName, UNITS_MAX } from '../store/store.ts';
import { decodeTask, type StoredTask } from '../task/codec.ts';
import { isActive, type TaskRecord } from '../task/task.ts';
import { dropEntries } from './drop-entries.ts';
import { Lender } from './lender.ts';
import { type OwnerContext, OwnershipLost } from './owner-context.ts';

const LANES_MAX = 1_000;
const LOOK_EVERY_MS = 5_000;
/** About so many members of caps are looked through at once. */
const MEMBERS_PER_LOOK = 1_000;
/** A task that is taken and not assigned by then has been given back. */
const DOUBTED_MS = 5_000;
/** Members in doubt that are remembered. */
const DOUBTS_MAX = 10_000;

interface Limited {
  text: string;
  card: { name: string; concurrency?: number; concurrencyPerKey?: number };
}

/**
 * Keeps the limits of a shard as the cards of the agents and the policy say. Caps themselves follow the records, and the
 * reconciler puts back what they lack; what stands in one by mistake would keep a place for ever, so the members of caps
 * with a limit are looked through here and leave when their records do not stand behind them.
 */
export class LimitKeeper {
  readonly #context: OwnerContext;
  readonly #lender: Lender;
  readonly #cards = new Map<string, Limited>();
  /** `cap member version` to when it was first found without a right to be there. */
  #doubts = new Map<string, number>();
  /** Where the next look begins, and local time of it. */
  #next = 0;
  #lookAt = 0;

  constructor(context: OwnerContext) {
    this.#context = context;
    this.#lender = new Lender(context);
  }

  async tick(): Promise<void> {
    const { shard, policy } = this.#context;
    if (policy.shards === 1) await this.#keepLimits();
    else if (shard === 0) await this.#lender.tick(await this.#limits());
    await this.#lookThrough();
  }

  /** Compared with what stands there, not with what was written last: whatever is lost comes back. */
  async #keepLimits(): Promise<void> {
    const { store, shard, epoch, onFenced } = this.#context;
    const [limits, standing] = await Promise.all([this.#limits(), store.caps(shard, 0)]);
    if (sameLimits(limits, standing.limits)) return;
    const { ok } = await store.changeCaps(shard, { do: 'replace', limits, epoch });
    if (ok) return;
    onFenced();
    throw new OwnershipLost(shard);
  }

  async #limits(): Promise<Record<string, number>> {
    const { store, policy } = this.#context;
    const entries = await store.catalog();
    const cards = entries.flatMap(({ name, card: text }) => {
      const known = this.#cards.get(name);
      const found = known?.text === text ? known : readCard(name, text);
      if (!found) return [];
      this.#cards.set(name, found);
      return [found.card];
    });
    return limitsOf(cards, policy.tenantConcurrency);
  }

  /** A few caps at a time, one after the other: those with a limit, which alone can be held up. */
  async #lookThrough(): Promise<void> {
    const { store, shard, runtime } = this.#context;
    if (runtime.now() < this.#lookAt) return;
    this.#lookAt = runtime.now() + LOOK_EVERY_MS;
    const { used } = await store.caps(shard, LANES_MAX);
    const bounded = used.filter((one) => one.limit !== null && one.used > 0);
    if (this.#next >= bounded.length) this.#next = 0;
    const doubts = new Map<string, number>();
    let members = 0;
    while (this.#next < bounded.length && members < MEMBERS_PER_LOOK) {
      const { cap, used: size } = bounded[this.#next++]!;
      await this.#lookThroughCap(cap, doubts);
      members += Math.min(size, UNITS_MAX);
    }
    for (const [doubt, since] of this.#doubts) if (!doubts.has(doubt) && this.#isFresh(since)) doubts.set(doubt, since);
    this.#doubts = new Map([...doubts].slice(0, DOUBTS_MAX));
  }

  async #lookThroughCap(cap: string, doubts: Map<string, number>): Promise<void> {
    const { store, shard, runtime } = this.#context;
    const index: IndexName = `cap:${cap}`;
    const { entries } = await store.range(shard, index, 0, UNITS_MAX);
    const ids = entries.map(([id]) => id);
    const { tasks } = await store.read(shard, ids);
    const belongs = (task: TaskRecord) => isActive(task.state) && capsOf(task.spec, true).includes(cap);
    const unfounded = ids.flatMap((id, at) => {
      const stored = tasks[at] ?? null;
      const record = stored && readable(stored);
      if (record && belongs(record)) return [];
      const doubt = `${cap} ${id} ${stored?.version ?? 0}`;
      const since = this.#doubts.get(doubt) ?? runtime.now();
      doubts.set(doubt, since);
      return runtime.now() - since >= DOUBTED_MS ? [{ id, stored, record }] : [];
    });
    await dropEntries(this.#context, index, unfounded, belongs);
  }

  #isFresh(since: number): boolean {
    return this.#context.runtime.now() - since < 10 * DOUBTED_MS;
  }
}

function readable(stored: StoredTask): TaskRecord | null {
  try {
    return decodeTask(stored);
  } catch {
    return null;
  }
}

/** Null for what cannot be read: coordinators take no tasks for such an agent either. */
function readCard(name: string, text: string): Limited | null {
  try {
    const { concurrency, concurrencyPerKey } = JSON.parse(text) as Limited['card'];
    return { text, card: { name, concurrency: countOf(concurrency), concurrencyPerKey: countOf(concurrencyPerKey) } };
  } catch {
    return null;
  }
}

function countOf(value: unknown): number | undefined {
  return Number.isSafeInteger(value) && (value as number) >= 1 ? (value as number) : undefined;
}

function sameLimits(a: Readonly<Record<string, number>>, b: Readonly<Record<string, number>>): boolean {
  const names = Object.keys(a);
  return names.length === Object.keys(b).length && names.every((name) => a[name] === b[name]);
}
