/** A whole system over a journal: what it promises per task, and what a later one finds. */
import { afterEach, expect, it } from 'vitest';
import { startSystem } from '../../../src/app.ts';
import { loadConfig } from '../../../src/config/load.ts';
import { createSystem, type System } from '../../../src/create-system.ts';
import type { Commit, Store } from '../../../src/store/store.ts';
import { aFolder } from './support.ts';

const systems: { stop(): Promise<void> }[] = [];
afterEach(async () => {
  for (const system of systems.splice(0)) await system.stop();
});

const settings = { HEARTBEAT_INTERVAL: '50ms', INSTANCE_TTL: '500ms', LOG_LEVEL: 'silent' };

async function aSystem(dataDir: string): Promise<System> {
  const system = await createSystem({ dataDir, instanceId: 'one', settings });
  systems.push(system);
  return system;
}

it('finds tasks, results, keys and what is due after a restart, under the key that it made itself', async () => {
  const dataDir = await aFolder();
  const first = await aSystem(dataDir);
  const done = await first.client.submit('echo', { a: 1 }, { key: 'k', durability: 'local' });
  expect((await done.task()).durability).toBe('local');
  expect(await done.result({ timeout: '10s' })).toEqual({ a: 1 });
  const later = await first.client.submit('echo', 'later', { delay: '1s' });
  await first.stop();
  const second = await aSystem(dataDir);
  expect((await second.client.task(done.id)).result).toEqual({ a: 1 });
  expect((await second.client.submit('echo', { a: 1 }, { key: 'k', durability: 'local' })).id).toBe(done.id);
  expect(await second.client.handle(later.id).result({ timeout: '15s' })).toBe('later');
}, 30_000);

it('refuses a level that the store cannot have, before anything is stored', async () => {
  const system = await aSystem(await aFolder());
  const refused = system.client.submit('echo', 1, { durability: 'replicated' });
  await expect(refused).rejects.toMatchObject({ code: 'DURABILITY_UNSUPPORTED', retryable: false });
  const plain = await createSystem({ instanceId: 'two', settings });
  systems.push(plain);
  await expect(plain.client.submit('echo', 1, { durability: 'local' })).rejects.toThrow('set DATA_DIR');
  expect((await plain.client.list()).tasks).toEqual([]);
});

it('sends a durable at-most-once task, and forgets its result, only when each has reached its level', async () => {
  const commits: Commit[] = [];
  const folder = await aFolder();
  const env = { SERVER_ID: 'one', DATA_DIR: folder, ...settings };
  const config = loadConfig({ env, readFile: () => '', flags: { role: 'all' }, hostname: 'here', randomId: () => 'x' });
  const system = await startSystem(config!, { listen: false, wrapStore: (store) => watched(store, commits) });
  systems.push(system);
  await system.ready;
  const once = await system.client!.submit('echo', 1, { delivery: 'at-most-once', durability: 'local' });
  await once.result({ timeout: '10s' });
  // The reconciler looks after the record, too.
  const its = commits.filter(({ units, post }) => units.some(({ id, repair }) => id === once.id && (!repair || post)));
  const [created, assigned, sent, ...ended] = its;
  expect(created).toMatchObject({ durability: 'local', units: [{ expect: 0 }] });
  expect(assigned).toMatchObject({ durability: 'local', post: [], units: [{ state: 'assigned' }] });
  expect(sent).toMatchObject({ post: [{ units: [0] }], units: [{ repair: true, expect: 2 }] });
  const completed = ended.find(({ units }) => units.some(({ state }) => state === 'completed'));
  expect(completed).toMatchObject({ durability: 'local', release: [] });
  await expect
    .poll(() => commits.at(-1)?.release)
    .toMatchObject([{ attempts: [{ held: expect.stringContaining(once.id) }] }]);
});

function watched(store: Store, commits: Commit[]): Store {
  return new Proxy(store, {
    get(target, name) {
      const value = Reflect.get(target, name, target);
      if (typeof value !== 'function') return value;
      if (name !== 'commit') return value.bind(target);
      return (shard: number, commit: Commit) => {
        if (commit.units.length > 0 || commit.release?.length) commits.push(commit);
        return target.commit(shard, commit);
      };
    },
  });
}
