import type { Ports } from '../fleet/ports.ts';
import { limitsOf } from '../scheduling/caps.ts';
import { patiently } from '../store/patience.ts';
import type { AgentCard } from './agent-catalog.ts';

const TRIES = 3;

/**
 * Sees to it that the limits of an agent and of tenants stand in a shard before the first task that they bound: the
 * shard's owner writes them too, but only in its turn. What stands there already is the owner's, and left alone.
 */
export class FirstLimits {
  readonly #options: Ports;
  /** Per shard: agents whose limits were seen to, by their card. A card that is read anew is seen to anew. */
  readonly #seen: Map<string, AgentCard>[];

  constructor(options: Ports) {
    this.#options = options;
    this.#seen = Array.from({ length: options.policy.shards }, () => new Map());
  }

  /** Undefined: nothing is to be waited for. */
  see(shard: number, card: AgentCard): Promise<void> | undefined {
    const { policy } = this.#options;
    const seen = this.#seen[shard]!;
    if (seen.get(card.name) === card) return undefined;
    const limits = limitsOf([card], policy.tenantConcurrency);
    if (Object.keys(limits).length > 0) return this.#introduce(shard, card, limits);
    seen.set(card.name, card);
    return undefined;
  }

  async #introduce(shard: number, card: AgentCard, limits: Record<string, number>): Promise<void> {
    const { store, runtime, policy } = this.#options;
    // Of what several shards share, each has nothing until it is lent a part.
    const first = Object.entries(limits).map(([name, limit]) => [
      name,
      policy.shards > 1 && name[0] !== 'k' ? 0 : limit,
    ]);
    const change = { do: 'introduce', limits: Object.fromEntries(first) } as const;
    await patiently(() => store.changeCaps(shard, change), { runtime, tries: TRIES });
    this.#seen[shard]!.set(card.name, card);
  }
}
