/*
 * A real redis-server for tests: on a free loopback port, in a directory of its own, ended by its process id. The tests'
 * set-up makes sure that the program is there.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { connect, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

const START_MS = 10_000;

export interface RedisServer {
  readonly port: number;
  readonly pid: number;
  /** Ends it at once, as a power cut would; what it had not written is lost. */
  kill(): Promise<void>;
  /** Starts it again on the same port and directory. */
  restart(): Promise<void>;
  stop(): Promise<void>;
}

/** @param settings configuration as on the command line, such as `--appendonly yes` */
export async function startRedis(...settings: string[]): Promise<RedisServer> {
  const port = await freePort();
  const dir = await mkdtemp(join(tmpdir(), 'agent-system-redis-'));
  let child = await launch(port, dir, settings);
  return {
    port,
    get pid() {
      return child.pid!;
    },
    kill: () => ended(child, 'SIGKILL'),
    restart: async () => {
      child = await launch(port, dir, settings);
    },
    stop: async () => {
      await ended(child, 'SIGKILL');
      await rm(dir, { recursive: true, force: true });
    },
  };
}

async function launch(port: number, dir: string, settings: string[]): Promise<ChildProcess> {
  const own = ['--port', String(port), '--bind', '127.0.0.1', '--dir', dir, '--save', ''];
  const child = spawn('redis-server', [...own, ...settings], { stdio: 'ignore' });
  const failed = new Promise<never>((_, reject) => {
    child.once('error', reject);
    child.once('exit', (code) => reject(new Error(`redis-server ended with code ${code} before it answered`)));
  });
  await Promise.race([answers(port), failed]);
  child.removeAllListeners('exit');
  return child;
}

function ended(child: ChildProcess, signal: NodeJS.Signals): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return Promise.resolve();
  return new Promise((resolve) => {
    child.once('exit', () => resolve());
    child.kill(signal);
  });
}

async function answers(port: number): Promise<void> {
  const until = Date.now() + START_MS;
  while (!(await pings(port))) {
    if (Date.now() > until) throw new Error(`redis-server on port ${port} did not answer within ${START_MS} ms`);
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}

function pings(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1', () => socket.write('PING\r\n'));
    socket.once('data', (reply) => {
      // One that wants a password first is there, too.
      resolve(/^(\+PONG|-NOAUTH)/.test(reply.toString()));
      socket.destroy();
    });
    socket.once('error', () => resolve(false));
  });
}

export function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.once('error', reject);
    server.listen(0, '127.0.0.1', () => {
      const address = server.address();
      server.close(() => resolve(typeof address === 'object' && address ? address.port : 0));
    });
  });
}
