/** What a client does beside single tasks: the same within the process and over HTTP. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Client } from '../../src/client/client.ts';
import { createClient } from '../../src/client/http-client.ts';
import { createSystem, type System } from '../../src/create-system.ts';

let system: System;
beforeAll(async () => {
  system = await createSystem({
    port: 0,
    instanceId: 'one',
    workers: [{ id: 'w1', slots: 2 }],
    settings: { LOG_LEVEL: 'error' },
  });
});
afterAll(() => system.stop());

const CLIENTS: [string, () => Client][] = [
  ['of the process', () => system.client],
  ['over HTTP', () => createClient({ url: system.url! })],
];

describe.each(CLIENTS)('a client %s', (name, open) => {
  it('cancels and retries the tasks of a filter, a part with each call', async () => {
    const labels = { of: name };
    for (let i = 0; i < 3; i++) await open().submit('echo', {}, { delay: '1h', labels });
    const filter = { labels, createdBefore: new Date(Date.now() + 60_000) };
    expect(await open().cancelMany({ filter, dryRun: true })).toMatchObject({ matched: 3, changed: 0, more: false });
    const first = await open().cancelMany({ filter, limit: 2, reason: 'over' });
    expect(first).toMatchObject({ changed: 2, more: true });
    const rest = await open().cancelMany({ filter, cursor: first.nextCursor! });
    expect(rest).toMatchObject({ changed: 1, failed: [], nextCursor: null });
    const { tasks } = await open().list({ labels });
    expect(tasks.map(({ error }) => error?.message)).toEqual(['over', 'over', 'cancelled on request']);
    expect(await open().retryMany({ ids: [tasks[0]!.id, '0'.repeat(25)] })).toMatchObject({
      changed: 1,
      failed: [{ id: '0'.repeat(25) }],
    });
    await expect(open().cancelMany({})).rejects.toMatchObject({ code: 'BAD_REQUEST' });
  });

  it('looks after failed tasks', async () => {
    const labels = { dead: name };
    const handle = await open().submit('fail', {}, { labels, retry: { maxAttempts: 1 } });
    await handle.result().catch(() => {});
    const { tasks } = await open().deadletters.list({ labels });
    expect(tasks).toMatchObject([{ id: handle.id, state: 'failed' }]);
    expect(await open().deadletters.retry({ filter: { labels }, dryRun: true })).toMatchObject({ matched: 1 });
    expect(await open().deadletters.drop({ ids: [handle.id] })).toMatchObject({ changed: 1 });
    await expect(handle.task()).rejects.toMatchObject({ code: 'NOT_FOUND' });
  });

  it('makes, changes and removes schedules', async () => {
    const { schedules } = open();
    const id = `s-${name.replace(' ', '-').replace(' ', '-')}`;
    await schedules.create({ id, everyMs: 3_600_000, task: { agent: 'echo', input: {} } });
    await expect(schedules.create({ id, everyMs: 1_000, task: { agent: 'echo' } })).rejects.toMatchObject({
      code: 'SCHEDULE_EXISTS',
    });
    expect(await schedules.put(id, { cron: '0 3 * * *', task: { agent: 'echo' } })).toMatchObject({
      created: false,
      schedule: { cron: '0 3 * * *' },
    });
    expect(await schedules.pause(id)).toMatchObject({ paused: true });
    expect(await schedules.resume(id, 'default')).toMatchObject({ paused: false });
    const task = await schedules.trigger(id);
    expect(await schedules.get(id)).toMatchObject({ fired: 1, last: { task: task.id } });
    expect((await schedules.list()).map((one) => one.id)).toContain(id);
    expect(await schedules.remove(id)).toBeUndefined();
    await expect(schedules.get(id)).rejects.toMatchObject({ code: 'NOT_FOUND' });
  });

  it('sees to the fleet', async () => {
    expect(await open().pause('sleep')).toMatchObject({ agent: 'sleep', paused: true });
    expect(await open().resume('sleep')).toMatchObject({ paused: false });
    expect(await open().cluster()).toMatchObject({ shards: 1, owners: [{ instance: 'one' }] });
    await expect(open().stepDown()).rejects.toMatchObject({ code: 'WRONG_STATE' });
    await expect(open().drain('nobody')).rejects.toMatchObject({ code: 'NOT_FOUND' });
    const { id } = await open().submit('echo', {}, { correlationId: `c ${name}` });
    expect(await open().correlated(`c ${name}`)).toMatchObject({ tasks: [{ id }], nextCursor: null });
  });
});
