/** Messages that were changed, repeated, or signed by somebody else: kept for people to look at, counted, without effect. */
import { afterAll, beforeAll, expect, it } from 'vitest';
import { type Cluster, callOne, startCluster } from './support/cluster.ts';
import { within } from './support/eventually.ts';
import { expectOneAcceptanceEach } from './support/expect-tasks.ts';
import type { RoleProcess } from './support/role-process.ts';
import { spoiled } from './support/spoiled.ts';

const FORGED = 'Message signature verification failed';
const OTHER_SECRET = 'a-secret-of-another-system-0123456789abcdef';

let cluster: Cluster;
beforeAll(async () => {
  // Long enough that nobody is thought gone while it is cut off.
  const settings = { INSTANCE_TTL: '10s', LEADER_TTL: '10s' };
  cluster = await startCluster({ coordinators: 1, distributors: 1, workers: 1, settings });
});
afterAll(() => cluster?.stop());

const rejected = (role: RoleProcess, reason: string) =>
  role.metric('agent_messages_rejected_total', `reason="${reason}"`);

/** Puts entries in the place of those in the stream, while nobody reads it. */
async function replaceEntries(stream: string, change: (envelope: string) => string): Promise<number> {
  const entries = await within(5_000, `${stream} has entries`, async () => {
    const found = await cluster.stream(stream);
    return found.length > 0 ? found : null;
  });
  for (const [id, fields] of entries!) {
    await cluster.redis.call('XDEL', cluster.key(stream), id);
    const flat = Object.entries({ ...fields, e: change(fields.e!) }).flat();
    await cluster.redis.call('XADD', cluster.key(stream), '*', ...flat);
  }
  return entries!.length;
}

async function quarantined(stream: string): Promise<Record<string, string>[]> {
  return (await cluster.stream('quarantine')).map(([, fields]) => fields).filter((one) => one.stream?.includes(stream));
}

it('refuses a report with one changed byte, and takes the genuine one that the worker sends again', async () => {
  const id = await cluster.submit({ agent: 'mark', input: { ms: 400 } });
  await cluster.reaches(id, 'running');
  const owner = cluster.role('c1');
  const since = Date.now();
  await cluster.cutOff(owner);
  await within(5_000, 'the handler ends', () => cluster.traces(id).some(({ event }) => event === 'ended'));
  await replaceEntries('reports', spoiled);
  owner.signal('SIGCONT');
  expect((await cluster.reaches(id, 'completed failed')).state).toBe('completed');
  await owner.says(FORGED, { since });
  expect(await rejected(owner, 'signature')).toBeGreaterThan(0);
  expect(await quarantined('reports')).toContainEqual(expect.objectContaining({ reason: 'signature' }));
  await expectOneAcceptanceEach(cluster, [id]);
});

it('refuses an assignment with one changed byte, and runs the genuine one that is sent again', async () => {
  const worker = cluster.role('w1');
  const since = Date.now();
  await cluster.cutOff(worker);
  const id = await cluster.submit({ agent: 'mark', input: {} });
  const [mailbox] = await within(5_000, 'a mailbox', async () => {
    const found = await cluster.keys('mail:w1@*');
    return found.length > 0 ? found : null;
  }).then((keys) => keys!);
  await replaceEntries(mailbox!.slice(cluster.key('').length), spoiled);
  worker.signal('SIGCONT');
  expect(await cluster.reaches(id, 'completed failed')).toMatchObject({ state: 'completed', attempt: 1 });
  await worker.says(FORGED, { since });
  expect(await rejected(worker, 'signature')).toBeGreaterThan(0);
  expect(await quarantined('mail')).toContainEqual(expect.objectContaining({ reason: 'signature' }));
  expect(cluster.traces(id).filter(({ event }) => event === 'began')).toHaveLength(1);
});

it('does nothing for a genuine report or assignment that is put into its stream again', async () => {
  const id = await cluster.submit({ agent: 'mark', input: { ms: 500 } });
  await cluster.reaches(id, 'running');
  const [mailbox] = await cluster.keys('mail:w1@*');
  const stream = mailbox!.slice(cluster.key('').length);
  // Trimmed only with a heartbeat: the assignment may still be there, and if not, its reports are.
  const letters = (await cluster.stream(stream)).map(([, fields]) => fields);
  await cluster.cutOff(cluster.role('c1'));
  await within(5_000, 'the handler ends', () => cluster.traces(id).some(({ event }) => event === 'ended'));
  const reports = await within(5_000, 'reports', async () => {
    const found = (await cluster.stream('reports')).map(([, fields]) => fields);
    return found.length > 0 ? found : null;
  });
  for (let round = 0; round < 3; round++) {
    for (const one of letters) await cluster.redis.call('XADD', mailbox!, '*', ...Object.entries(one).flat());
    for (const one of reports!)
      await cluster.redis.call('XADD', cluster.key('reports'), '*', ...Object.entries(one).flat());
  }
  cluster.role('c1').signal('SIGCONT');
  await cluster.reaches(id, 'completed');
  const marker = await cluster.submit({ agent: 'mark', input: {} });
  await cluster.reaches(marker, 'completed');
  expect(cluster.traces(id).map(({ event }) => event)).toEqual(['began', 'ended']);
  await expectOneAcceptanceEach(cluster, [id]);
});

it('lets nothing cross to or from roles with another secret on the same Redis, and counts what it refuses', async () => {
  const other = { A2A_TOKEN_SECRET: OTHER_SECRET };
  const strangers = [
    cluster.start('coordinator', 'cx', other),
    cluster.start('distributor', 'dx', other),
    cluster.start('worker', 'wx', other),
  ];
  const [cx, dx, wx] = strangers as [RoleProcess, RoleProcess, RoleProcess];
  await Promise.all(strangers.map((one) => one.ready()));
  const ours = cluster.role('c1');
  const mine = await Promise.all(
    Array.from({ length: 20 }, () => callOne(ours, '/v1/tasks', { agent: 'mark', input: { ms: 50 } })),
  );
  const foreign = await callOne(cx, '/v1/tasks', { agent: 'mark', input: {} });
  const ids = mine.map(({ body }) => (body as { id: string }).id);
  const foreignId = (foreign.body as { id: string }).id;
  for (const id of ids) expect((await cluster.reaches(id, 'completed failed')).state).toBe('completed');
  await expectOneAcceptanceEach(cluster, ids);
  expect(cluster.traces().filter(({ pid, task }) => pid === wx.pid && task !== foreignId)).toEqual([]);
  // Theirs is left to those who have its key: ours neither run nor end it, and their worker, of whose reports nothing
  // comes to the owner, is not believed.
  expect(cluster.traces(foreignId).filter(({ pid }) => pid !== wx.pid)).toEqual([]);
  expect((await cluster.task(foreignId)).state).not.toBe('completed');
  expect(await rejected(cluster.role('d1'), 'key')).toBeGreaterThan(0);
  expect(await rejected(dx, 'key')).toBeGreaterThan(0);
});
