/** Keys in a running system: a worker without any root, a rotation under load, and a key that is revoked. */
import { execFile } from 'node:child_process';
import { mkdtempSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { type Cluster, emptyCluster } from './support/cluster.ts';
import { pause, within } from './support/eventually.ts';
import { expectOneAcceptanceEach } from './support/expect-tasks.ts';
import { BIN, type RoleProcess } from './support/role-process.ts';

const NO_ROOT = { A2A_TOKEN_SECRET: '', MESSAGE_KEYS_FILE: '' };
const DELAY_MS = 3_000;
const run = promisify(execFile);

let dir: string;
let cluster: Cluster;
beforeEach(async () => {
  dir = mkdtempSync(join(tmpdir(), 'agent-system-keys-'));
  const settings = { A2A_TOKEN_SECRET: '', MESSAGE_KEYS_FILE: keysFile(), MESSAGE_KEY_DELAY: `${DELAY_MS}ms` };
  cluster = await emptyCluster({ settings });
  await keys('rotate', '--keys-file', keysFile(), '--kid', 'k1');
});
afterEach(async () => {
  await cluster?.stop();
  rmSync(dir, { recursive: true });
});

const keysFile = () => join(dir, 'keys.txt');

async function keys(...args: string[]): Promise<string> {
  const { stdout } = await run(process.execPath, [BIN, 'keys', ...args], { env: { PATH: process.env.PATH } });
  return stdout.trim();
}

const derive = (worker: string) => keys('derive', '--worker', worker, '--keys-file', keysFile());

/** In one step, as whatever brings secrets to machines does. */
function putFile(path: string, text: string): void {
  writeFileSync(`${path}.tmp`, text, { mode: 0o600 });
  renameSync(`${path}.tmp`, path);
}

async function rejected(reason: string): Promise<number> {
  const living = cluster.roles.filter((one) => one.alive);
  const counts = await Promise.all(
    living.map((one) => one.metric('agent_messages_rejected_total', `reason="${reason}"`)),
  );
  return counts.reduce((sum, count) => sum + count, 0);
}

/** The rest of a secret's line: what must not stand anywhere near a hardened worker. */
const secretOf = (kid: string) => new RegExp(`^${kid}:(.*)$`, 'm').exec(readFileSync(keysFile(), 'utf8'))![1]!;

it('has a worker run tasks that was given nothing but its own WORKER_KEY', async () => {
  cluster.start('coordinator', 'c1');
  cluster.start('distributor', 'd1');
  const worker = cluster.start('worker', 'w1', { ...NO_ROOT, WORKER_ID: '', WORKER_KEY: await derive('w1') });
  await cluster.allReady();
  const environment = readFileSync(`/proc/${worker.pid}/environ`, 'utf8');
  expect(environment).toContain('WORKER_KEY=wk1:w1:k1=');
  expect(environment).not.toContain(secretOf('k1'));
  const ids = await cluster.submitMany(
    Array.from({ length: 50 }, (_, n) => ({ agent: 'mark', input: { ms: 20 }, key: `hardened-${n}` })),
  );
  await cluster.allEnd(ids, 15_000);
  await expectOneAcceptanceEach(cluster, ids);
  expect(new Set(cluster.traces().map(({ pid }) => pid))).toEqual(new Set([worker.pid]));
  const long = await cluster.submit({ agent: 'endless', input: {} });
  await cluster.reaches(long, 'running');
  await cluster.call(`/v1/tasks/${long}/cancel`, {});
  await within(5_000, 'the handler is told', () => cluster.traces(long).some(({ event }) => event === 'told'));
  expect(await Promise.all(['key', 'signature', 'sender'].map(rejected))).toEqual([0, 0, 0]);
});

it('goes on through a rotation under load, and without the old key once its tasks are sealed anew', async () => {
  const ownKey = join(dir, 'w2.key');
  putFile(ownKey, await derive('w2'));
  cluster.start('coordinator', 'c1');
  cluster.start('coordinator', 'c2');
  cluster.start('distributor', 'd1');
  const workers = [
    cluster.start('worker', 'w1'),
    cluster.start('worker', 'w2', { ...NO_ROOT, WORKER_KEY_FILE: ownKey }),
  ];
  await cluster.allReady();
  const load = startLoad();
  const delayed = await cluster.submit({ agent: 'mark', input: {}, delayMs: 20_000 });

  await pause(1_000);
  await keys('rotate', '--keys-file', keysFile(), '--kid', 'k2');
  putFile(ownKey, await derive('w2'));
  await Promise.all(cluster.roles.map((one) => one.says('Message keys changed', { ms: 5_000 })));
  const owner = await cluster.owner();
  await within(25_000, 'all seals are of k2', () => sealsAre(owner, 'k2'));
  const since = Date.now();
  await keys('revoke', 'k1', '--keys-file', keysFile());
  putFile(ownKey, await derive('w2'));
  await Promise.all(cluster.roles.map((one) => one.says('Message keys changed', { ms: 5_000, since })));
  await pause(1_000);
  const ids = [delayed, ...(await load.stop())];

  await cluster.allEnd(ids, 30_000);
  await expectOneAcceptanceEach(cluster, ids);
  const ran = new Set(cluster.traces().map(({ pid }) => pid));
  expect(ran).toEqual(new Set(workers.map(({ pid }) => pid)));
  expect(await Promise.all(['key', 'signature'].map(rejected))).toEqual([0, 0]);
  expect(cluster.roles.map((one) => one.text).join()).not.toContain(secretOf('k2'));
}, 90_000);

it('refuses what is signed with a revoked key, counts it, and gives its holder no work', async () => {
  cluster.start('coordinator', 'c1');
  cluster.start('distributor', 'd1');
  // Somebody who got hold of the root and does not let go of it.
  const holder = cluster.start('worker', 'w1', { MESSAGE_KEYS_FILE: '', MESSAGE_KEYS: `k1:${secretOf('k1')}` });
  await cluster.allReady();
  const before = await cluster.submit({ agent: 'mark', input: {} });
  expect(await cluster.reaches(before, 'completed')).toMatchObject({ worker: 'w1' });
  expect(await rejected('key')).toBe(0);

  await keys('rotate', '--keys-file', keysFile(), '--kid', 'k2');
  const since = Date.now();
  await keys('revoke', 'k1', '--keys-file', keysFile());
  const c1 = cluster.role('c1');
  await c1.says('Message keys changed', { since });
  await cluster.role('d1').says('Message keys changed', { since });
  await within(
    10_000,
    'its heartbeats are refused',
    async () => (await c1.metric('agent_messages_rejected_total', 'reason="key"')) > 0,
  );
  await c1.says('Message signature verification failed', { since });
  const after = await cluster.submit({ agent: 'mark', input: {} });
  await pause(1_500);
  expect((await cluster.task(after)).state).not.toBe('completed');
  expect(cluster.traces(after)).toEqual([]);
  const honest = await cluster.start('worker', 'w2').ready();
  expect(await cluster.reaches(after, 'completed', 20_000)).toMatchObject({ worker: 'w2' });
  expect(cluster.traces(after).map(({ pid }) => pid)).not.toContain(holder.pid);
  expect(honest.alive).toBe(true);
});

function sealsAre(owner: RoleProcess, generation: string): boolean {
  return owner.lines.some((line) => line.msg === 'All seals are of the newest key' && line.generation === generation);
}

/** Submits tasks until it is stopped; answers their ids. */
function startLoad(): { stop: () => Promise<string[]> } {
  const ids: string[] = [];
  let stopped = false;
  const done = (async () => {
    for (let round = 0; !stopped; round++) {
      const tasks = Array.from({ length: 10 }, (_, n) => ({
        agent: 'mark',
        input: { ms: 10 },
        key: `load-${round}-${n}`,
      }));
      ids.push(...(await cluster.submitMany(tasks)));
      await pause(100);
    }
  })();
  return {
    stop: async () => {
      stopped = true;
      await done;
      return ids;
    },
  };
}
