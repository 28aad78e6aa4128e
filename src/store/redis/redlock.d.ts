/* The types that redlock brings are not named in its `exports`, so module resolution does not find them. */
declare module 'redlock' {
  import type { EventEmitter } from 'node:events';

  interface Client {
    evalsha(sha: string, keys: number, args: (string | number)[]): Promise<unknown>;
    eval(text: string, keys: number, args: (string | number)[]): Promise<unknown>;
  }

  interface Settings {
    driftFactor: number;
    retryCount: number;
    retryDelay: number;
    retryJitter: number;
    automaticExtensionThreshold: number;
  }

  type Adapt = (script: string) => string;

  interface Attempt {
    votesAgainst: ReadonlyMap<Client, Error>;
  }

  export class ResourceLockedError extends Error {}

  export class ExecutionError extends Error {
    readonly attempts: readonly Promise<Attempt>[];
  }

  export class Lock {
    constructor(
      redlock: Redlock,
      resources: string[],
      value: string,
      attempts: readonly Promise<Attempt>[],
      expiration: number,
    );
    readonly value: string;
    expiration: number;
  }

  export default class Redlock extends EventEmitter {
    constructor(
      clients: Iterable<Client>,
      settings?: Partial<Settings>,
      scripts?: { acquireScript?: Adapt; extendScript?: Adapt; releaseScript?: Adapt },
    );
    acquire(resources: string[], durationMs: number): Promise<Lock>;
    extend(lock: Lock, durationMs: number): Promise<Lock>;
    release(lock: Lock): Promise<unknown>;
  }
}
