import { ConfigurationError, StoreUnavailableError } from '../errors.ts';
import { pause, type Runtime } from '../runtime/runtime.ts';
import { patiently } from '../store/patience.ts';
import type { InstanceRecord, RegisteredInstance, Registration, Store } from '../store/store.ts';

const NONCE_LENGTH = 8;

export interface RegistrationKeeperOptions {
  store: Store;
  runtime: Runtime;
  instance: Registration['instance'];
  heartbeatIntervalMs: number;
  instanceTtlMs: number;
  /** Whether a process on this host lives. */
  isAlive: (pid: number) => boolean;
  /** Waiting for the holder of our id to go. */
  onWaiting: (holder: RegisteredInstance) => void;
  /** Another process has taken our id. */
  onReplaced: () => void;
  /** What changes about the instance; stored with each renewal. */
  facts: () => Record<string, unknown>;
}

/** Keeps this instance in the registry from start to stop. */
export class RegistrationKeeper {
  readonly #options: RegistrationKeeperOptions;
  readonly #stop = new AbortController();
  #current: InstanceRecord | null = null;
  #loop: Promise<void> = Promise.resolve();

  constructor(options: RegistrationKeeperOptions) {
    this.#options = options;
  }

  /**
   * Takes the id, at once when its last holder is known to be dead. While a living process holds it this waits.
   * @throws ConfigurationError when the holder still renews after two INSTANCE_TTL
   */
  async register(signal: AbortSignal): Promise<InstanceRecord> {
    const { runtime, instanceTtlMs, onWaiting, instance } = this.#options;
    const until = runtime.now() + 2 * instanceTtlMs;
    let told = false;
    for (;;) {
      const holder = await this.#try(signal);
      if (holder === null) return this.current;
      if (runtime.now() >= until) throw new ConfigurationError([stillHeld(instance.id, holder)]);
      if (!told) onWaiting(holder);
      told = true;
      await pause(runtime, Math.min(1_000, instanceTtlMs / 4), signal);
      if (signal.aborted) throw new StoreUnavailableError('stopped while waiting for the id');
    }
  }

  /** The entry as it stands; only after `register`. */
  get current(): InstanceRecord {
    if (!this.#current) throw new Error(`instance ${this.#options.instance.id} has not been registered`);
    return this.#current;
  }

  /** Renews the entry until `stop`. */
  keep(): void {
    this.#loop = this.#keep();
  }

  /** Renews it no more and leaves it to run out, as the entry of a process that died. */
  abandon(): void {
    this.#stop.abort();
  }

  async stop(): Promise<void> {
    this.#stop.abort();
    await this.#loop;
    if (!this.#current) return;
    const { store } = this.#options;
    // Without the store the entry ends by itself.
    await store.deregister(this.#current.id, this.#current.incarnation).catch(() => undefined);
  }

  /** Null: it is ours now. */
  async #try(signal: AbortSignal): Promise<RegisteredInstance | null> {
    const { store, runtime, instance, instanceTtlMs, isAlive } = this.#options;
    const nonce = runtime.id(NONCE_LENGTH);
    const patience = { runtime, tries: Number.POSITIVE_INFINITY, signal };
    const call = (takeOver?: string) =>
      patiently(() => store.register({ instance, nonce, ttlMs: instanceTtlMs, takeOver }), patience);
    let reply = await call();
    if (!reply.ok && reply.holder.host === instance.host && isGone(reply.holder.pid, instance.pid, isAlive)) {
      reply = await call(reply.holder.incarnation);
    }
    if (!reply.ok) return reply.holder;
    this.#current = reply.instance;
    return null;
  }

  async #keep(): Promise<void> {
    const { runtime, heartbeatIntervalMs } = this.#options;
    const { signal } = this.#stop;
    while (!signal.aborted) {
      await pause(runtime, heartbeatIntervalMs, signal);
      if (signal.aborted || !this.#current) return;
      try {
        await this.#renew();
      } catch (error) {
        if (!(error instanceof StoreUnavailableError)) throw error;
      }
    }
  }

  async #renew(): Promise<void> {
    const { store, facts, instance, onReplaced } = this.#options;
    const { ok } = await store.touch(instance.id, this.#current!.incarnation, facts());
    if (ok) return;
    // Gone after a long outage: taken anew, unless someone else was quicker.
    const holder = await this.#try(this.#stop.signal);
    if (holder !== null) onReplaced();
  }
}

/** On the same host a process is gone when its pid is, and also when the pid is our own: it was given out again. */
function isGone(pid: number, ownPid: number, isAlive: (pid: number) => boolean): boolean {
  return pid === ownPid || !isAlive(pid);
}

function stillHeld(id: string, holder: RegisteredInstance): string {
  return (
    `the id ${id} is held by a living process (pid ${holder.pid} on ${holder.host}): ` +
    'give each process an id of its own (COORDINATOR_ID, DISTRIBUTOR_ID, WORKER_ID), or stop that one'
  );
}
