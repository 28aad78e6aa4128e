import type { Requirements } from '../../src/scheduling/requirements.ts';
import type { SubmitRequest } from '../../src/service/submit-request.ts';
import { LARGE_PAYLOAD_BYTES } from '../../src/task/payload.ts';
import type { Chance } from './chance.ts';
import type { PlannedTask } from './clients.ts';

/** Tasks of all kinds, over the time in which things go wrong. */
export function planWorkload(chance: Chance, lastMs: number): PlannedTask[] {
  const count = chance.happens(0.2) ? chance.between(150, 300) : chance.between(50, 150);
  const requests: SubmitRequest[] = [];
  return Array.from({ length: count }, () => {
    const repeated = requests.length > 0 && chance.happens(0.08) ? chance.pick(requests) : undefined;
    const request = repeated?.key ? repeated : aRequest(chance);
    if (request.key !== undefined) requests.push(request);
    const planned: PlannedTask = { atMs: chance.between(0, lastMs), request };
    // At once, to meet the assignment on its way, or in the middle.
    if (chance.happens(0.12)) planned.cancelAfterMs = chance.between(0, chance.happens(0.5) ? 20 : 6_000);
    return planned;
  });
}

/**
 * Gives some of the tasks requirements and limits, drawn apart from the rest so that a seed means what it did. What
 * requires something may find nobody, so it may not wait for ever.
 */
export function addRequirements(planned: readonly PlannedTask[], chance: Chance): void {
  // Tasks with the same key share their request.
  for (const request of new Set(planned.map((task) => task.request))) {
    if (chance.happens(0.05)) request.totalTimeoutMs = (request.delayMs ?? 0) + chance.between(500, 20_000);
    if (chance.happens(0.05)) request.queueTimeoutMs = chance.between(200, 10_000);
    if (!chance.happens(0.2)) continue;
    request.require = aRequirement(chance);
    request.queueTimeoutMs ??= chance.between(3_000, 15_000);
  }
}

/** Gives some tasks inputs, and so results, that are stored apart; drawn apart, too. */
export function enlargePayloads(planned: readonly PlannedTask[], chance: Chance): void {
  for (const { input } of new Set(planned.map((task) => task.request))) {
    const { text } = input as { text?: string };
    if (text === undefined || !chance.happens(0.4)) continue;
    (input as { text: string }).text = text.padEnd(
      chance.between(LARGE_PAYLOAD_BYTES - 100, LARGE_PAYLOAD_BYTES + 4_000),
      '.',
    );
  }
}

function aRequirement(chance: Chance): Requirements {
  switch (chance.weighted({ zone: 3, gpu: 4, pin: 2, both: 1 })) {
    case 'zone':
      return { labels: { zone: chance.pick(['eu', 'us']) } };
    case 'gpu':
      return { resources: { gpu: chance.between(1, 2) } };
    case 'pin':
      return { worker: `w${chance.between(1, 9)}` };
    default:
      return { labels: { zone: 'eu' }, resources: { gpu: 1 } };
  }
}

/** Tasks that wait for each other: of an agent with a limit, with concurrency keys, of several tenants. */
export function planCapped(chance: Chance, lastMs: number): PlannedTask[] {
  return Array.from({ length: chance.between(10, 50) }, () => {
    const ms = chance.between(1, 900);
    const request: SubmitRequest = { agent: chance.pick(['narrow', 'narrow', 'nap']), input: { ms } };
    if (request.agent === 'nap' || chance.happens(0.3)) request.concurrencyKey = `key-${chance.between(1, 3)}`;
    if (chance.happens(0.5)) request.tenant = chance.pick(['north', 'south']);
    if (chance.happens(0.2)) request.priority = 10;
    const planned: PlannedTask = { atMs: chance.between(0, lastMs), request };
    if (chance.happens(0.15)) planned.cancelAfterMs = chance.between(0, 2_000);
    return planned;
  });
}

function aRequest(chance: Chance): SubmitRequest {
  const request: SubmitRequest = { ...aKindOfWork(chance), priority: chance.happens(0.2) ? 10 : chance.between(0, 9) };
  if (chance.happens(0.15)) request.delayMs = chance.between(1, 8_000);
  if (chance.happens(0.15)) request.timeoutMs = chance.between(50, 2_000);
  if (chance.happens(0.15)) request.delivery = 'at-most-once';
  // A key from a few: some are used twice with other content, which is refused.
  if (chance.happens(0.3)) request.key = `key-${chance.between(1, 60)}`;
  request.retry = { maxAttempts: chance.between(1, 4), backoffMs: chance.between(0, 600), maxBackoffMs: 2_000 };
  return request;
}

function aKindOfWork(chance: Chance): { agent: string; input: unknown } {
  const kind = chance.weighted({ echo: 4, nap: 3, deaf: 1, talk: 1, flaky: 3 });
  switch (kind) {
    case 'echo':
      return { agent: 'echo', input: { text: `say ${chance.between(1, 1_000)}` } };
    case 'talk':
      return { agent: 'talk', input: { ms: chance.between(10, 400), steps: chance.between(1, 6) } };
    case 'flaky': {
      const how = chance.pick(['retry', 'terminal', 'later', 'text']);
      return { agent: 'flaky', input: { failures: chance.between(0, 3), how, ms: chance.between(0, 500) } };
    }
    default: {
      const ms = chance.happens(0.05) ? chance.between(2_000, 12_000) : chance.between(1, 1_500);
      return { agent: kind, input: { ms } };
    }
  }
}
