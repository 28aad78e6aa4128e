import { afterEach, expect, it } from 'vitest';
import { createSystem, defineAgent, type System } from '../../src/index.ts';

let system: System | undefined;
afterEach(() => system?.stop());

it('has workers of different labels and resources in one process', async () => {
  const where = defineAgent({ name: 'where', run: async (input: { n: number }) => input.n });
  system = await createSystem({
    agents: [where],
    workers: [
      { id: 'small', slots: 2 },
      { id: 'large', slots: 2, labels: { zone: 'eu' }, resources: { gpu: 1 } },
    ],
    settings: { LOG_LEVEL: 'silent', RETENTION_BYTES: 'off' },
  });
  const { client } = system;
  const requirements = [
    { labels: { zone: 'eu' } },
    { resources: { gpu: 1 } },
    { worker: 'small' },
    { labels: { zone: 'eu' }, resources: { gpu: 0.5 } },
  ];
  const handles = await Promise.all(requirements.map((require, n) => client.submit(where, { n }, { require })));
  expect(await Promise.all(handles.map((handle) => handle.result({ timeout: '10s' })))).toEqual([0, 1, 2, 3]);
  const tasks = await Promise.all(handles.map((handle) => handle.task()));
  expect(tasks.map(({ worker }) => worker)).toEqual(['large', 'large', 'small', 'large']);

  const never = await client.submit(where, { n: 4 }, { require: { resources: { gpu: 2 } }, queueTimeout: '100ms' });
  await expect(never.result({ timeout: '10s' })).rejects.toMatchObject({ code: 'expired' });
  const pinned = await client.submit(where, { n: 5 }, { require: { worker: 'elsewhere' } });
  const refused = { task: pinned.id, assigned: false, reason: 'requirement' };
  expect(await system.assignTaskToWorker(pinned, 'large')).toEqual(refused);
});
