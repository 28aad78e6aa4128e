import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, expect, it } from 'vitest';
import { ConfigurationError } from '../../src/errors.ts';
import { createSystem, type System } from '../../src/index.ts';

const secret = 'the-secret-of-the-system-state-tests-012345';
const systems: System[] = [];
afterEach(async () => {
  await Promise.all(systems.splice(0).map((system) => system.stop()));
});

async function aSystem(restore?: string): Promise<System> {
  const options = { workers: [{ id: 'w1', slots: 2 }], secret, settings: { LOG_LEVEL: 'silent' } };
  const system = await createSystem({ ...options, ...(restore !== undefined && { restore }) });
  systems.push(system);
  return system;
}

async function snapshotFile(system: System, dir: string): Promise<string> {
  let text = '';
  for await (const piece of system.client.snapshot()) text += piece;
  const file = join(dir, 'snapshot.ndjson');
  await writeFile(file, text);
  return file;
}

it('a system tells what its roles hold as plain JSON, and takes back what can be taken back', async () => {
  const first = await aSystem();
  await first.client.pause('echo');
  await expect.poll(async () => (await first.getStateSnapshot()).distributor_state?.workers.length).toBe(1);
  await expect.poll(() => first.isLeader).toBe(true);
  const state = await first.getStateSnapshot();
  expect(JSON.parse(JSON.stringify(state))).toEqual(state);
  expect(state).toMatchObject({
    coordinator_state: { role: 'coordinator', shards: [{ shard: 0 }], paused: ['echo'] },
    distributor_state: { role: 'distributor', workers: [{ worker: 'w1', slots: 2, occupied: 0, held: [] }] },
    worker_states: [{ role: 'worker', id: 'w1', slots: 2, draining: false, running: [], waiting: [] }],
  });
  const second = await aSystem();
  await second.setState({ ...state, worker_states: [{ ...state.worker_states[0]!, draining: true }] });
  const after = await second.getStateSnapshot();
  expect(after.coordinator_state?.paused).toEqual(['echo']);
  expect(after.worker_states[0]?.draining).toBe(true);
});

it('a system begins with a snapshot, and refuses to start with one that is not its own', async () => {
  const dir = await mkdtemp(join(tmpdir(), 'agent-system-state-'));
  const first = await aSystem();
  await first.client.pause('echo');
  const { id } = await first.client.submit('echo', { n: 1 });
  const file = await snapshotFile(first, dir);
  const second = await aSystem(file);
  expect(await second.client.task(id)).toMatchObject({ state: 'queued' });
  await second.client.resume('echo');
  expect(await second.client.handle(id).result({ timeout: '5s' })).toEqual({ n: 1 });
  const refused = (path: string, settings: object = {}) =>
    createSystem({ secret, settings: { LOG_LEVEL: 'silent' }, restore: path, ...settings });
  await expect(refused(join(dir, 'missing'))).rejects.toThrow(ConfigurationError);
  await expect(refused(join(dir, 'missing'))).rejects.toThrow('missing: it cannot be read (ENOENT)');
  await expect(refused(file, { secret: `another-${secret}` })).rejects.toThrow('which is not among the keys here');
  await rm(dir, { recursive: true });
});
