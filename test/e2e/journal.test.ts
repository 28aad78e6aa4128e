/** The embedded store with DATA_DIR in a real process that is killed without a word, again and again. */
import { mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, expect, it } from 'vitest';
import type { TaskView } from '../../src/task/view.ts';
import { pause, within } from './support/eventually.ts';
import { RoleProcess } from './support/role-process.ts';

const TASKS = 10_000;
const BATCH = 100;
const KILLS = 4;
const ENDS = ['completed', 'failed', 'cancelled'];

let folder: string;
let started: RoleProcess[] = [];

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'agent-system-e2e-'));
  await writeFile(join(folder, 'trace'), '');
});
afterEach(async () => {
  await Promise.all(started.map((one) => one.kill()));
  started = [];
  await rm(folder, { recursive: true, force: true });
});

function start(settings: Record<string, string> = {}): RoleProcess {
  const process = new RoleProcess('all', 'one', {
    SERVER_ID: 'one',
    COORDINATOR_PORT: '0',
    DATA_DIR: join(folder, 'data'),
    HEARTBEAT_INTERVAL: '250ms',
    INSTANCE_TTL: '1s',
    LEADER_TTL: '1s',
    CLEANUP_INTERVAL: '1s',
    AGENTS: fileURLToPath(new URL('./support/agents.mjs', import.meta.url)),
    E2E_TRACE: join(folder, 'trace'),
    ...settings,
  });
  started.push(process);
  return process;
}

async function call(process: RoleProcess, path: string, body?: unknown): Promise<{ status: number; body: never }> {
  const init =
    body === undefined
      ? {}
      : { method: 'POST', body: JSON.stringify(body), headers: { 'content-type': 'application/json' } };
  const response = await fetch(`${await process.url()}${path}`, { ...init, signal: AbortSignal.timeout(10_000) });
  return { status: response.status, body: (await response.json()) as never };
}

async function allTasks(process: RoleProcess): Promise<TaskView[]> {
  const tasks: TaskView[] = [];
  for (let cursor = ''; ; ) {
    const { body } = await call(process, `/v1/tasks?limit=500${cursor && `&cursor=${encodeURIComponent(cursor)}`}`);
    const page = body as { tasks: TaskView[]; nextCursor?: string | null };
    tasks.push(...page.tasks);
    if (!page.nextCursor) return tasks;
    cursor = page.nextCursor;
  }
}

async function submit(process: RoleProcess, request: Record<string, unknown>): Promise<string> {
  const { status, body } = await call(process, '/v1/tasks', request);
  expect(status, JSON.stringify(body)).toBe(201);
  return (body as { id: string }).id;
}

async function reaches(process: RoleProcess, id: string, states: string[]): Promise<TaskView> {
  return within(15_000, `task ${id} is ${states}`, async () => {
    const { body } = await call(process, `/v1/tasks/${id}`);
    const task = body as TaskView;
    return states.includes(task.state) ? task : null;
  }) as Promise<TaskView>;
}

/** Submits until everything was taken or the process is gone; answers what was answered with 201. */
async function submitUntilKilled(process: RoleProcess, count: number): Promise<string[]> {
  const answered: string[] = [];
  try {
    for (let sent = 0; sent < count; sent += BATCH) {
      const tasks = Array.from({ length: BATCH }, (_, n) => ({
        agent: 'echo',
        input: { n: sent + n, text: 'x'.repeat(100) },
      }));
      const { body } = await call(process, '/v1/tasks/batch', { tasks });
      const { results } = body as { results: { status: number; task?: { id: string } }[] };
      for (const { status, task } of results) if (status === 201) answered.push(task!.id);
    }
  } catch {
    // Killed in the middle: nothing was promised for the rest.
  }
  return answered;
}

it('has every task that was answered with 201, and ends them all, through kills in 10,000 submits', async () => {
  const answered: string[] = [];
  for (let kill = 0; kill < KILLS; kill++) {
    const process = await start().ready();
    const submitting = submitUntilKilled(process, TASKS);
    await pause(250 + 120 * kill);
    await process.kill();
    const got = await submitting;
    expect(got.length).toBeLessThan(TASKS);
    answered.push(...got);
  }
  const last = await start().ready();
  answered.push(...(await submitUntilKilled(last, Math.max(BATCH, TASKS - answered.length))));
  expect(answered.length).toBeGreaterThanOrEqual(TASKS);
  const tasks = await within(
    40_000,
    'all end',
    async () => {
      const all = await allTasks(last);
      const open = all.filter(({ state }) => !ENDS.includes(state));
      if (open.length > 0) throw new Error(`${open.length} of ${all.length} are open`);
      return all;
    },
    500,
  );
  const found = new Map((tasks as TaskView[]).map((task) => [task.id, task]));
  expect(answered.filter((id) => !found.has(id))).toEqual([]);
  expect([...found.values()].filter(({ state }) => state !== 'completed')).toEqual([]);
  const files = await readdir(join(folder, 'data'));
  console.log(`${answered.length} answered with ${KILLS} kills, ${found.size} found: ${files.join(' ')}`);
}, 120_000);

it('ends what ran when it was killed: run again, or outcome_unknown where it may run only once', async () => {
  const first = await start().ready();
  const twice = await submit(first, { agent: 'mark', input: { ms: 60_000 } });
  const once = await submit(first, {
    agent: 'mark',
    input: { ms: 60_000 },
    delivery: 'at-most-once',
    durability: 'local',
  });
  const waits = await submit(first, { agent: 'mark', input: { ms: 0 }, delayMs: 3_000, delivery: 'at-most-once' });
  await reaches(first, twice, ['running']);
  const running = await reaches(first, once, ['running']);
  expect(running.durability).toBe('local');
  await first.kill();
  const second = await start().ready();
  const unknown = await reaches(second, once, ['failed', 'completed']);
  expect(unknown.error?.code).toBe('outcome_unknown');
  const again = await reaches(second, twice, ['running']);
  expect(again.worker).toBe('one.worker');
  expect((await reaches(second, waits, ['completed'])).attempt).toBe(1);
  const began = (await readFile(join(folder, 'trace'), 'utf8')).split('\n').filter((line) => line.includes('"began"'));
  expect(began.filter((line) => line.includes(once))).toHaveLength(1);
  expect(began.filter((line) => line.includes(twice))).toHaveLength(2);
}, 60_000);

it('refuses a second process on the folder, and keeps its files to their owner', async () => {
  const first = await start({ JOURNAL_FSYNC: 'always' }).ready();
  const health = await first.get('/health');
  expect(health.body).toMatchObject({ durability: 'local', status: 'healthy', redis_connected: null });
  const second = start();
  expect((await second.exited).code).toBe(78);
  expect(second.text).toContain(`is in use by process ${first.pid}`);
  const data = join(folder, 'data');
  expect((await stat(data)).mode & 0o777).toBe(0o700);
  for (const name of await readdir(data)) expect((await stat(join(data, name))).mode & 0o777, name).toBe(0o600);
  const { status, body } = await call(first, '/v1/tasks', { agent: 'echo', input: 1, durability: 'replicated' });
  expect([status, body]).toMatchObject([409, { error: { code: 'DURABILITY_UNSUPPORTED' } }]);
});

it('refuses DATA_DIR beside Redis', async () => {
  const process = start({
    REDIS_URL: 'redis://127.0.0.1:1',
    A2A_TOKEN_SECRET: 'e2e-secret-of-this-test-0123456789abcdefghij',
  });
  expect((await process.exited).code).toBe(78);
  expect(process.text).toContain('DATA_DIR is set and so is Redis');
});
