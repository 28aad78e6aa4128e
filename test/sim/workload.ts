import type { SubmitRequest } from '../../src/service/submit-request.ts';
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
