/*
 * A first figure: how many no-op tasks per second go from submit to completed through separate role processes (submitter,
 * coordinator, distributor, worker) on one Redis, every hop signed, and what each process costs.
 *
 *   npm run build && node test/bench/run.mjs first-figure [--tasks 20000] [--bytes 200] [--slots 64] [--profile]
 *
 * CPU is user and system time from /proc/<pid>/stat, so this runs on Linux. With --profile the roles are sampled, which
 * slows them, and the functions and Redis commands that took most are printed.
 */
import { type ChildProcess, execFileSync, fork } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { cpus, tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { pause, within } from '../e2e/support/eventually.ts';
import { endWithTest } from '../e2e/support/process-guard.ts';
import { RedisProcess } from '../e2e/support/redis-process.ts';
import { ROOT, type RoleName, RoleProcess } from '../e2e/support/role-process.ts';

const WARM_UP = 3_000;
const WAIT_MS = 300_000;
const LOOK_EVERY_MS = 100;
const HOT_SPOTS = 25;
const TICKS_PER_SECOND = Number(execFileSync('getconf', ['CLK_TCK'], { encoding: 'utf8' }));

const { values } = parseArgs({
  args: process.argv.slice(2),
  options: {
    tasks: { type: 'string', default: '20000' },
    bytes: { type: 'string', default: '200' },
    slots: { type: 'string', default: '64' },
    profile: { type: 'boolean', default: false },
  },
});
const tasks = Number(values.tasks);

const profiles = mkdtempSync(join(tmpdir(), 'agent-system-profiles-'));
const redis = await RedisProcess.start();
const coordinator = role('coordinator');
const distributor = role('distributor');
const worker = role('worker');
try {
  await Promise.all([coordinator, distributor, worker].map((one) => one.ready(30_000)));
  await measure();
} finally {
  for (const one of [coordinator, distributor, worker]) one.signal('SIGTERM');
  await Promise.all([coordinator, distributor, worker].map((one) => one.exited));
  // A worker leaves two: its own and its heartbeat thread's.
  for (const name of readdirSync(profiles)) {
    for (const file of readdirSync(join(profiles, name)).sort()) printHotSpots(name, join(profiles, name, file));
  }
  await redis.stop();
  rmSync(profiles, { recursive: true });
}
process.exit(0);

function role(name: RoleName): RoleProcess {
  const id = `bench-${name}`;
  const profile = ['--cpu-prof', `--cpu-prof-dir=${join(profiles, name)}`];
  const env = {
    REDIS_URL: redis.url,
    A2A_TOKEN_SECRET: 'secret-of-the-bench-0123456789abcdefghijkl',
    [`${name.toUpperCase()}_ID`]: id,
    [`${name.toUpperCase()}_PORT`]: '0',
    WORKER_SLOTS: values.slots,
    LOG_LEVEL: 'info',
  };
  return new RoleProcess(name, id, env, values.profile ? profile : []);
}

async function measure(): Promise<void> {
  const submitter = await startSubmitter();
  await submit(submitter, WARM_UP);
  await completed(WARM_UP);
  await pause(500);
  await redis.call('CONFIG', 'RESETSTAT');
  const pids = {
    submitter: submitter.pid!,
    coordinator: coordinator.pid,
    distributor: distributor.pid,
    worker: worker.pid,
    redis: redis.pid,
  };
  const before = Object.values(pids).map(cpuMs);
  const from = performance.now();
  await submit(submitter, tasks);
  const submittedMs = performance.now() - from;
  await completed(WARM_UP + tasks);
  const wallMs = performance.now() - from;
  const after = Object.values(pids).map(cpuMs);
  await print(Object.keys(pids), before, after, { submittedMs, wallMs });
  submitter.kill('SIGKILL');
}

async function startSubmitter(): Promise<ChildProcess> {
  const env = {
    ...process.env,
    BENCH_ROOT: resolve(ROOT),
    BENCH_URL: await coordinator.url(),
    BENCH_BYTES: values.bytes,
  };
  const child = endWithTest(fork(new URL('./submitter.mjs', import.meta.url), { env }));
  await new Promise((ready) => child.once('message', ready));
  return child;
}

function submit(submitter: ChildProcess, count: number): Promise<unknown> {
  return new Promise((resolved, reject) => {
    submitter.once('message', resolved);
    submitter.once('exit', (code) => reject(new Error(`the submitter ended with code ${code}`)));
    submitter.send(count);
  });
}

async function completed(count: number): Promise<void> {
  const look = async () => (await coordinator.metric('agent_tasks_total', 'state="completed"')) >= count;
  await within(WAIT_MS, `${count} tasks are completed`, look, LOOK_EVERY_MS);
}

/** User and system time of a process with all its threads and ended children, milliseconds. */
function cpuMs(pid: number): number {
  const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
  // The name in parentheses may hold anything; what follows it are fields 3, 4, …
  const fields = stat
    .slice(stat.lastIndexOf(')') + 2)
    .split(' ')
    .map(Number);
  const ticks = [11, 12, 13, 14].reduce((sum, at) => sum + (fields[at] ?? 0), 0);
  return (ticks * 1_000) / TICKS_PER_SECOND;
}

async function print(
  names: string[],
  before: number[],
  after: number[],
  { submittedMs, wallMs }: { submittedMs: number; wallMs: number },
): Promise<void> {
  const info = String(await redis.call('INFO', 'server'));
  const version = /redis_version:(\S+)/.exec(info)?.[1];
  const processors = cpus();
  console.log(`machine: ${processors.length} × ${processors[0]?.model}, Node ${process.version}, Redis ${version}`);
  console.log(`work: ${tasks} tasks of agent echo with ${values.bytes} B, ${values.slots} slots, signed, no AOF`);
  console.log(
    `submitted at ${rate(submittedMs)} tasks/s, submitted → completed at ${rate(wallMs)} tasks/s (${Math.round(wallMs)} ms)`,
  );
  const costs = names.map((_, at) => ((after[at]! - before[at]!) * 1_000) / tasks);
  for (const [at, name] of names.entries())
    console.log(`${name.padEnd(12)} ${costs[at]!.toFixed(1).padStart(7)} µs CPU per task`);
  console.log(
    `${'all'.padEnd(12)} ${costs
      .reduce((sum, cost) => sum + cost)
      .toFixed(1)
      .padStart(7)} µs CPU per task`,
  );
  const stats = String(await redis.call('INFO', 'commandstats'))
    .split('\r\n')
    .map(commandOf)
    .filter((one) => one !== null);
  stats.sort((a, b) => b.usec - a.usec);
  console.log('Redis commands by time (those called by scripts count within theirs too):');
  for (const { name, calls, usec } of stats.slice(0, values.profile ? 20 : 8)) {
    console.log(
      `  ${name.padEnd(12)} ${(usec / tasks).toFixed(2).padStart(6)} µs per task, ${calls} calls, ${(usec / calls).toFixed(1)} µs each`,
    );
  }
}

function rate(ms: number): number {
  return Math.round((tasks * 1_000) / ms);
}

function commandOf(line: string): { name: string; calls: number; usec: number } | null {
  const found = /^cmdstat_(\S+?):calls=(\d+),usec=(\d+)/.exec(line);
  return found && { name: found[1]!, calls: Number(found[2]), usec: Number(found[3]) };
}

interface Profile {
  nodes: { id: number; callFrame: { functionName: string; url: string; lineNumber: number } }[];
  samples: number[];
  timeDeltas: number[];
}

/** Functions by the time spent in themselves. The profile covers the whole life of the process. */
function printHotSpots(role: string, file: string): void {
  const { nodes, samples, timeDeltas } = JSON.parse(readFileSync(file, 'utf8')) as Profile;
  const own = new Map<number, number>();
  for (const [at, id] of samples.entries()) own.set(id, (own.get(id) ?? 0) + (timeDeltas[at] ?? 0));
  const spots = new Map<string, number>();
  for (const { id, callFrame } of nodes) {
    const place = callFrame.url.replace(/^.*\/(dist|node_modules)\//, '$1/').replace(/^node:/, 'node:');
    const name = `${callFrame.functionName || '(anonymous)'} ${place}${place ? `:${callFrame.lineNumber + 1}` : ''}`;
    spots.set(name, (spots.get(name) ?? 0) + (own.get(id) ?? 0));
  }
  const busy = [...spots].filter(([name]) => !/^\((idle|program|root)\)/.test(name));
  const total = busy.reduce((sum, [, us]) => sum + us, 0);
  console.log(`\n${role}: ${(total / 1_000).toFixed(0)} ms busy`);
  for (const [name, us] of busy.sort((a, b) => b[1] - a[1]).slice(0, HOT_SPOTS)) {
    console.log(`  ${((us * 100) / total).toFixed(1).padStart(5)} %  ${name}`);
  }
}
