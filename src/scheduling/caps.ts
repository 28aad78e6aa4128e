/*
 * Caps bound how many tasks may be reserved, assigned or running at once: all of an agent (`a|agent`), all of a tenant
 * (`t|tenant`), and those with one concurrency key (`k|agent|tenant|key`), each field escaped as in lanes. A cap is the
 * set of those tasks, kept by the store and rebuilt from records, so there is no count that could drift.
 *
 * Limits go by names of their own: `a|agent`; `k|agent` for each key of that agent; `t` for each tenant, and `t|tenant`
 * where a shard has a share of its own of what the tenant may have in all.
 */
import { escapeField, isUrgentLane } from './lane.ts';

/** Of a concurrency key whose agent names none: tasks that share a key run one after another. */
export const KEY_LIMIT_DEFAULT = 1;

export interface CappedFields {
  agent: string;
  tenant: string;
  concurrencyKey?: string;
}

/** The caps that an active task counts in; its tenant's only where tenants have a limit. */
export function capsOf({ agent, tenant, concurrencyKey }: CappedFields, tenantsLimited: boolean): string[] {
  const name = escapeField(agent);
  const caps = [`a|${name}`];
  if (tenantsLimited) caps.push(`t|${escapeField(tenant)}`);
  if (concurrencyKey !== undefined) caps.push(`k|${name}|${escapeField(tenant)}|${escapeField(concurrencyKey)}`);
  return caps;
}

/** Every cap that can bound the tasks of a lane, narrowest first: a lane waits where the fewest others do. */
export function capsOfLane(lane: string): string[] {
  const [agent = '', tenant = '', key] = lane.slice(isUrgentLane(lane) ? 1 : 0).split('|', 3);
  const caps = [`t|${tenant}`, `a|${agent}`];
  return key?.startsWith('k=') ? [`k|${agent}|${tenant}|${key.slice(2)}`, ...caps] : caps;
}

/** Undefined = none. */
export function limitOf(cap: string, limits: ReadonlyMap<string, number>): number | undefined {
  switch (cap[0]) {
    case 'k':
      return limits.get(keyLimitName(cap)) ?? KEY_LIMIT_DEFAULT;
    case 't':
      return limits.get(cap) ?? limits.get('t');
    default:
      return limits.get(cap);
  }
}

/** Whether a limit of one of these names is the limit of this cap. */
export function isNamedBy(cap: string, names: ReadonlySet<string>): boolean {
  return names.has(cap[0] === 'k' ? keyLimitName(cap) : cap) || names.has(cap[0]!);
}

/** What the agents and the policy say, by the names of limits. */
export function limitsOf(
  cards: readonly { name: string; concurrency?: number; concurrencyPerKey?: number }[],
  tenantConcurrency: number | null,
): Record<string, number> {
  const limits: Record<string, number> = {};
  if (tenantConcurrency !== null) limits.t = tenantConcurrency;
  for (const { name, concurrency, concurrencyPerKey } of cards) {
    if (concurrency !== undefined) limits[`a|${escapeField(name)}`] = concurrency;
    if (concurrencyPerKey !== undefined) limits[`k|${escapeField(name)}`] = concurrencyPerKey;
  }
  return limits;
}

function keyLimitName(cap: string): string {
  return cap.slice(0, cap.indexOf('|', 2));
}
