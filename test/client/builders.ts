import { unitOf } from '../../src/store/commit.ts';
import { decodeTask } from '../../src/task/codec.ts';
import { shardOf } from '../../src/task/id.ts';
import { DEFAULT_POLICY } from '../../src/task/policy.ts';
import type { TaskError } from '../../src/task/task.ts';
import { type Command, transition } from '../../src/task/transition.ts';
import { anApi, type TestApi } from '../api/builders.ts';

export interface ServedSystem extends TestApi {
  url: string;
  /** Does by hand what a distributor, a worker and the owner would: runs the task to its end. */
  finish(id: string, outcome: { result: unknown } | { error: TaskError }): Promise<void>;
  close(): Promise<void>;
}

/** Real services on the embedded store behind the real HTTP server; agents `echo` and `summarise` are known. */
export async function aServedSystem(over: Parameters<typeof anApi>[0] = {}): Promise<ServedSystem> {
  const api = await anApi(over);
  const { url } = await api.api.listen({ host: '127.0.0.1', port: 0 });
  return {
    ...api,
    url,
    finish: (id, outcome) => finish(api, id, outcome),
    close: () => api.api.close(),
  };
}

async function finish(
  { store, waiters }: TestApi,
  id: string,
  outcome: { result: unknown } | { error: TaskError },
): Promise<void> {
  const worker = { worker: 'w1', incarnation: '1-a', distributor: 'd1' };
  await step({ store, waiters }, id, () => ({ type: 'assign', attemptId: 'a1', ...worker }));
  await step({ store, waiters }, id, (fence) => {
    const from = { attemptId: 'a1', fence, seq: 1 };
    if ('error' in outcome) return { type: 'fail', from, error: outcome.error, jitter: 0 };
    return { type: 'complete', from, result: JSON.stringify(outcome.result) };
  });
}

async function step(
  { store, waiters }: Pick<TestApi, 'store' | 'waiters'>,
  id: string,
  command: (fence: number) => Command,
): Promise<void> {
  const policy = { deployment: 'test', ...DEFAULT_POLICY };
  const shard = shardOf(id);
  const stored = (await store.read(shard, [id], { input: true, result: true })).tasks[0];
  const before = decodeTask(stored!);
  const decided = transition(before, command(before.trail.fence), Date.now());
  if (!decided.ok) throw new Error(`${id}: ${decided.reason}`);
  const unit = unitOf(before, decided.next, policy);
  const reply = await store.commit(shard, { op: `hand-${before.version}`, units: [unit] });
  if (!reply.units[0]?.ok) throw new Error(`${id}: ${JSON.stringify(reply.units[0])}`);
  waiters.tell(id, decided.next.state);
}
