/** The heart in a real thread, from compiled sources, because Node 20 cannot start a thread from TypeScript. */
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { pause } from '../../src/runtime/runtime.ts';
import { systemRuntime } from '../../src/runtime/system-runtime.ts';
import type { HeartNews, HeartPost } from '../../src/worker/heart.ts';
import { startHeartbeatThread } from '../../src/worker/heartbeat-thread.ts';

let built = '';
let entry: URL;

beforeAll(() => {
  // Below node_modules, so that the compiled files find the packages.
  mkdirSync('node_modules/.cache', { recursive: true });
  built = mkdtempSync(join(process.cwd(), 'node_modules/.cache/heart-'));
  const args = [
    'node_modules/typescript/bin/tsc',
    '-p',
    'tsconfig.build.json',
    '--outDir',
    built,
    '--declaration',
    'false',
  ];
  const { stdout } = spawnSync(process.execPath, args, { encoding: 'utf8' });
  if (!existsSync(join(built, 'worker/heartbeat-thread.js'))) throw new Error(`not compiled: ${stdout}`);
  writeFileSync(join(built, 'package.json'), '{"type":"module"}');
  writeFileSync(join(built, 'entry.js'), ENTRY);
  entry = pathToFileURL(join(built, 'entry.js'));
});

afterAll(() => rmSync(built, { recursive: true, force: true }));

/** As the composition's own entry, with an embedded store; `workerData.dies` ends the thread after the first beat. */
const ENTRY = `
import { parentPort, workerData } from 'node:worker_threads';
import { keyRingFromSecret } from './message/keys.js';
import { systemRuntime } from './runtime/system-runtime.js';
import { createMemoryStore } from './store/memory/memory-store.js';
import { startHeartbeatLoop } from './worker/heartbeat-loop.js';
import { hostHeart } from './worker/heartbeat-thread.js';
const store = createMemoryStore({ runtime: systemRuntime, shards: 1 });
const keys = keyRingFromSecret('a secret of at least thirty-two bytes');
const heart = startHeartbeatLoop(workerData.settings, { store, keys, runtime: systemRuntime });
hostHeart(parentPort, heart, () => store.close());
if (workerData.dies) parentPort.on('message', () => process.exit(3));
`;

const settings = {
  worker: 'w1',
  incarnation: '1-aa',
  deployment: 'test',
  shards: 1,
  slots: 1,
  agents: [{ name: 'echo' }],
  heartbeatIntervalMs: 50,
  instanceTtlMs: 200,
  readyProgressWithinMs: 100,
};

function aHeart(dies = false) {
  const heart = startHeartbeatThread({ entry, workerData: { settings, dies }, runtime: systemRuntime });
  const news: HeartNews[] = [];
  heart.listen((one) => news.push(one));
  const post: HeartPost = {
    progressAt: systemRuntime.now(),
    changes: [[0, 't~a', 'started', systemRuntime.now() + 60_000]],
    mailbox: ['0-0'],
    facts: { ready: true, draining: false, extra: 0, quick: [] },
    hurry: true,
  };
  return { heart, news, post };
}

async function until(holds: () => boolean): Promise<void> {
  for (let tries = 0; !holds() && tries < 500; tries++) await pause(systemRuntime, 10);
  expect(holds()).toBe(true);
}

it('goes on beating while the loop of the worker is blocked, and stops when told', async () => {
  const { heart, news, post } = aHeart();
  heart.post(post);
  await until(() => news.length > 0);
  const blockedFrom = systemRuntime.now();
  // What a handler with a long loop does: nothing else runs here meanwhile.
  while (systemRuntime.now() - blockedFrom < 1_000);
  const blockedTo = systemRuntime.now();
  await until(() => news.some((one) => one.type === 'beat' && one.sentAt > blockedTo));
  const meanwhile = news.filter((one) => one.type === 'beat' && one.sentAt >= blockedFrom && one.sentAt <= blockedTo);
  expect(meanwhile.length).toBeGreaterThanOrEqual(5);
  await heart.stop(1_000);
  const after = news.length;
  await pause(systemRuntime, 150);
  expect(news.length).toBe(after);
  expect(news.some((one) => one.type === 'stopped')).toBe(false);
});

it('says so once when its thread is gone', async () => {
  const { heart, news, post } = aHeart(true);
  heart.post(post);
  await until(() => news.some((one) => one.type === 'stopped'));
  expect(news.filter((one) => one.type === 'stopped')).toMatchObject([{ message: expect.stringContaining('code 3') }]);
  await heart.stop(100);
});
