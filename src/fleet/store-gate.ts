/*
 * Stands between the roles and the store and lets calls through only while it is certain which store this is. A store
 * that lost its identity (FLUSHALL, another server behind the same address) holds none of our tasks: going on would look
 * like success. So every call is refused then, as if the store were away, and readiness says why; a coordinator that is
 * started anew gives the store an identity again, and with that the others go on.
 */
import { StoreUnavailableError } from '../errors.ts';
import { pause, type Runtime } from '../runtime/runtime.ts';
import type { Store, StoreIdentity } from '../store/store.ts';

const LOOK_EVERY_MS = 1_000;

export type GateState = { open: true; identity: StoreIdentity } | { open: false; reason: string };

export class StoreGate {
  readonly #store: Store;
  readonly #runtime: Runtime;
  readonly #onChange: (state: GateState) => void;
  readonly #stop = new AbortController();
  #state: GateState = { open: false, reason: 'the store has not been checked yet' };
  /** What the gate was last open for. */
  #known: StoreIdentity | null = null;
  #loop: Promise<void> = Promise.resolve();
  /** The store, for everyone but those who open it. */
  readonly store: Store;

  constructor(store: Store, runtime: Runtime, onChange: (state: GateState) => void) {
    this.#store = store;
    this.#runtime = runtime;
    this.#onChange = onChange;
    this.store = this.#guarded(store);
  }

  get state(): GateState {
    return this.#state;
  }

  open(identity: StoreIdentity): void {
    this.#known = identity;
    this.#state = { open: true, identity };
  }

  /** Looks at the identity every second from now on. */
  watch(): void {
    this.#loop = this.#watch();
  }

  async stop(): Promise<void> {
    this.#stop.abort();
    await this.#loop;
  }

  async #watch(): Promise<void> {
    const { signal } = this.#stop;
    while (!signal.aborted) {
      await pause(this.#runtime, LOOK_EVERY_MS, signal);
      if (signal.aborted) return;
      try {
        this.#compare(await this.#store.identity());
      } catch (error) {
        // Away is not another store: what was known holds until the opposite is seen.
        if (!(error instanceof StoreUnavailableError)) throw error;
      }
    }
  }

  #compare(found: StoreIdentity | null): void {
    const before = this.#state;
    if (found === null) {
      if (before.open) this.#change({ open: false, reason: lost(before.identity) });
    } else if (this.#known && !isAlike(this.#known, found)) {
      if (before.open) this.#change({ open: false, reason: unlike(this.#known, found) });
    } else if (!before.open || before.identity.uuid !== found.uuid) {
      this.#known = found;
      this.#change({ open: true, identity: found });
    }
  }

  #change(state: GateState): void {
    this.#state = state;
    this.#onChange(state);
  }

  #guarded(store: Store): Store {
    const gate = this;
    return new Proxy(store, {
      get(target, name) {
        const value = Reflect.get(target, name, target);
        if (typeof value !== 'function') return value;
        // Locks are objects of their own; they only decide who tries, and what they try passes through here.
        if (name === 'lock' || name === 'close') return value.bind(target);
        return (...args: unknown[]) => {
          if (!gate.#state.open) return Promise.reject(new StoreUnavailableError(gate.#state.reason));
          return value.apply(target, args);
        };
      },
    });
  }
}

function lost(identity: StoreIdentity): string {
  return (
    `the store lost its identity (was ${identity.uuid}): it was flushed or is another one, its tasks are gone; ` +
    'restore it, or start the coordinators anew to begin with an empty store'
  );
}

/** With another number of shards every task would be looked for in the wrong place. */
function isAlike(known: StoreIdentity, found: StoreIdentity): boolean {
  return known.shards === found.shards && known.schema === found.schema;
}

function unlike(known: StoreIdentity, found: StoreIdentity): string {
  return (
    `the store is another one now (${found.uuid}, schema ${found.schema}, ${found.shards} shards), ` +
    `this process was started for schema ${known.schema} and ${known.shards} shards (${known.uuid}): start it anew`
  );
}
