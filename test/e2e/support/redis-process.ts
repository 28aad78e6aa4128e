/** A redis-server whose life and death a test decides, with a connection of the test's own. */
import { Redis } from 'ioredis';
import { type RedisServer, startRedis } from '../../support/redis-server.ts';
import { killAtExit } from './process-guard.ts';

/** Every write on disk before its answer, so that a kill loses nothing. */
export const DURABLE = ['--appendonly', 'yes', '--appendfsync', 'always'];
const RECONNECT_MS = 50;

export class RedisProcess {
  readonly #server: RedisServer;
  #client: Redis | null = null;
  #unguard: () => void = () => undefined;

  private constructor(server: RedisServer) {
    this.#server = server;
    this.#guard();
  }

  /** @param settings as on redis-server's command line; without any, nothing is written to disk */
  static async start(...settings: string[]): Promise<RedisProcess> {
    return new RedisProcess(await startRedis(...settings));
  }

  get port(): number {
    return this.#server.port;
  }

  get pid(): number {
    return this.#server.pid;
  }

  get url(): string {
    return `redis://127.0.0.1:${this.port}/0`;
  }

  async call(name: string, ...args: (string | number)[]): Promise<unknown> {
    this.#client ??= patientClient(this.port);
    return this.#client.call(name, args);
  }

  signal(signal: NodeJS.Signals): void {
    process.kill(this.pid, signal);
  }

  /** As a power cut would. */
  async kill(): Promise<void> {
    this.#client?.disconnect();
    this.#client = null;
    await this.#server.kill();
    this.#unguard();
  }

  /** Back on the same port, with what was on disk. */
  async restart(): Promise<void> {
    await this.#server.restart();
    this.#guard();
  }

  async stop(): Promise<void> {
    await this.kill();
    await this.#server.stop();
  }

  #guard(): void {
    const { pid } = this.#server;
    this.#unguard = killAtExit(() => process.kill(pid, 'SIGKILL'));
  }
}

function patientClient(port: number): Redis {
  const client = new Redis({ port, host: '127.0.0.1', retryStrategy: () => RECONNECT_MS });
  // A command that cannot be carried out says so itself.
  client.on('error', () => undefined);
  return client;
}
