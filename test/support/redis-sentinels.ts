/** A real master with a replica, watched by three sentinels that notice a loss within a second. */
import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Redis } from 'ioredis';
import { freePort, type RedisServer, startRedis } from './redis-server.ts';

const SENTINELS = 3;
const QUORUM = 2;
const WATCHED_MS = 15_000;
export const MASTER_NAME = 'as-master';

export interface Watched {
  readonly master: RedisServer;
  readonly replica: RedisServer;
  readonly sentinels: readonly { host: string; port: number }[];
  /** The port of the master that the sentinels name now. */
  masterPort(): Promise<number>;
  stop(): Promise<void>;
}

/** @param settings configuration of both servers, as on the command line */
export async function startWatched(...settings: string[]): Promise<Watched> {
  const master = await startRedis(...settings);
  const replica = await startRedis(...settings, '--replicaof', `127.0.0.1 ${master.port}`);
  await until('the replica follows', async () =>
    String(await ask(replica.port, 'INFO', 'replication')).includes('master_link_status:up'),
  );
  const dir = await mkdtemp(join(tmpdir(), 'agent-system-sentinel-'));
  const ports = await Promise.all(Array.from({ length: SENTINELS }, freePort));
  const processes = await Promise.all(ports.map((port) => startSentinel(dir, port, master.port)));
  const [first] = ports as [number];
  const stop = async () => {
    await Promise.all(processes.map(ended));
    await Promise.all([master.stop(), replica.stop()]);
    await rm(dir, { recursive: true, force: true });
  };
  try {
    // Only sentinels that know each other and the replica can agree on a failover.
    await until('the sentinels know each other', () => allKnown(ports));
  } catch (error) {
    await stop();
    throw error;
  }
  return {
    master,
    replica,
    sentinels: ports.map((port) => ({ host: '127.0.0.1', port })),
    masterPort: async () =>
      Number(((await ask(first, 'SENTINEL', 'GET-MASTER-ADDR-BY-NAME', MASTER_NAME)) as string[])[1]),
    stop,
  };
}

async function startSentinel(dir: string, port: number, master: number): Promise<ChildProcess> {
  const file = join(dir, `${port}.conf`);
  const watch = [
    `port ${port}`,
    'bind 127.0.0.1',
    `dir ${dir}`,
    `sentinel monitor ${MASTER_NAME} 127.0.0.1 ${master} ${QUORUM}`,
    `sentinel down-after-milliseconds ${MASTER_NAME} 1000`,
    `sentinel failover-timeout ${MASTER_NAME} 3000`,
  ];
  await writeFile(file, `${watch.join('\n')}\n`);
  const child = spawn('redis-server', [file, '--sentinel'], { stdio: 'ignore' });
  await until('a sentinel answers', async () => (await ask(port, 'PING')) === 'PONG');
  return child;
}

async function allKnown(ports: readonly number[]): Promise<boolean> {
  const infos = await Promise.all(ports.map((port) => ask(port, 'INFO', 'sentinel')));
  return infos.every((info) => String(info).includes(`slaves=1,sentinels=${SENTINELS}`));
}

function ended(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return Promise.resolve();
  return new Promise((resolve) => {
    child.once('exit', () => resolve());
    child.kill('SIGKILL');
  });
}

async function until(what: string, look: () => Promise<boolean>): Promise<void> {
  const end = Date.now() + WATCHED_MS;
  while (!(await look().catch(() => false))) {
    if (Date.now() > end) throw new Error(`not within ${WATCHED_MS} ms: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

async function ask(port: number, name: string, ...args: string[]): Promise<unknown> {
  const client = new Redis({ port, host: '127.0.0.1', retryStrategy: () => null, enableReadyCheck: false });
  client.on('error', () => {
    // The command that could not be carried out says so itself.
  });
  try {
    return await client.call(name, args);
  } finally {
    client.disconnect();
  }
}
