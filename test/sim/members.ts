/*
 * The roles of the system, each in a simulated process: the same classes as in production, put together as the
 * composition root does it.
 */
import { cardOf } from '../../src/agent/card.ts';
import { Coordinator } from '../../src/coordinator/coordinator.ts';
import { Distributor } from '../../src/distributor/distributor.ts';
import { StoreUnavailableError } from '../../src/errors.ts';
import { RegistrationKeeper } from '../../src/fleet/registration.ts';
import { type KeyRing, keyRingFromSecret } from '../../src/message/keys.ts';
import type { Observation } from '../../src/runtime/observer.ts';
import { AgentCatalog } from '../../src/service/agent-catalog.ts';
import { EventFeed } from '../../src/service/event-feed.ts';
import { TaskService } from '../../src/service/task-service.ts';
import { Waiters } from '../../src/service/waiters.ts';
import { patiently } from '../../src/store/patience.ts';
import { holderOf, type Store } from '../../src/store/store.ts';
import { StoreClock } from '../../src/store/store-clock.ts';
import type { SystemPolicy } from '../../src/task/policy.ts';
import { startHeartbeatLoop } from '../../src/worker/heartbeat-loop.ts';
import { heartSettings, Worker, type WorkerSettings } from '../../src/worker/worker.ts';
import type { Ledger, SimOffer } from './ledger.ts';
import { simAgents } from './sim-agents.ts';
import type { SimProcess } from './sim-process.ts';

export const KEYS: KeyRing = keyRingFromSecret('simulated-secret-of-thirty-two-bytes-or-more');
const STOP_MS = 3_000;

export type RoleName = 'coordinator' | 'distributor' | 'worker';

export interface MemberOptions {
  id: string;
  host: string;
  process: SimProcess;
  store: Store;
  policy: SystemPolicy;
  ledger: Ledger;
  /** Whether a process with this pid lives on the same host. */
  isAlive: (pid: number) => boolean;
  /** The process ends itself. */
  exit: (why: string) => void;
  slots: number;
  /** What a worker has beside its slots. */
  offer: SimOffer;
}

/** One role that runs; `service` only in a coordinator, once it has started. */
export class Member {
  readonly role: RoleName;
  readonly options: MemberOptions;
  readonly #registering = new AbortController();
  #registration: RegistrationKeeper | null = null;
  #stopRole: () => Promise<unknown> = async () => undefined;
  service: TaskService | null = null;
  started = false;

  constructor(role: RoleName, options: MemberOptions) {
    this.role = role;
    this.options = options;
  }

  async start(): Promise<void> {
    try {
      this.#registration = await this.#register();
      if (this.role === 'coordinator') await this.#startCoordinator();
      if (this.role === 'distributor') this.#startDistributor();
      if (this.role === 'worker') await this.#startWorker(this.#registration.current.incarnation);
      this.started = true;
    } catch (error) {
      this.options.exit(error instanceof Error ? error.message : String(error));
    }
  }

  /** SIGTERM. */
  async stop(): Promise<void> {
    this.#registering.abort();
    this.service = null;
    await this.#stopRole();
    await this.#registration?.stop();
  }

  async #register(): Promise<RegistrationKeeper> {
    const { id, host, process, store, policy, isAlive, exit } = this.options;
    const { heartbeatIntervalMs, instanceTtlMs } = policy;
    const registration = new RegistrationKeeper({
      store,
      runtime: process.runtime,
      instance: {
        id,
        role: this.role,
        host,
        pid: process.pid,
        version: '0.0.0',
        url: null,
        agents: [],
        metadata: {},
        facts: {},
      },
      heartbeatIntervalMs,
      instanceTtlMs,
      isAlive,
      onWaiting: () => undefined,
      onReplaced: () => exit('replaced in the registry'),
      facts: () => ({}),
    });
    await registration.register(this.#registering.signal);
    registration.keep();
    return registration;
  }

  #ports() {
    const { process, store, policy } = this.options;
    const { runtime } = process;
    return { store, runtime, policy, keys: KEYS, clock: new StoreClock(runtime), observe: this.#observe };
  }

  readonly #observe = (seen: Observation): void => {
    const { ledger, process } = this.options;
    if (seen.type === 'message.rejected' || seen.type === 'state.refused') ledger.saw(`${seen.type}: ${seen.reason}`);
    // What could not be put into the quarantine is only missing there.
    if (seen.type !== 'fault' || seen.error instanceof StoreUnavailableError) return;
    const text = seen.error instanceof Error ? (seen.error.stack ?? seen.error.message) : String(seen.error);
    ledger.violate('roles-meet-no-fault', `${process.name}, ${seen.where}: ${text}`);
  };

  async #startCoordinator(): Promise<void> {
    const ports = this.#ports();
    const { store, runtime, policy, observe } = ports;
    const waiters = new Waiters();
    const catalog = new AgentCatalog(store, runtime);
    await this.#patiently(() => ports.clock.learn(async () => ({ now: await store.now() })));
    const coordinator = new Coordinator({
      ...ports,
      id: this.options.id,
      onCommitted: (task) => waiters.tell(task.id, task.state),
    });
    const onChanges = (changes: { id: string; state: string }[]) => {
      for (const { id, state } of changes) waiters.tell(id, state);
    };
    const feed = new EventFeed({ store, runtime, observe, shards: policy.shards, onChanges });
    coordinator.start();
    feed.start();
    this.service = new TaskService({ ...ports, catalog, waiters, durability: () => 'memory' });
    this.#stopRole = () => Promise.all([feed.stop(), coordinator.stop()]);
  }

  #startDistributor(): void {
    const distributor = new Distributor({ ...this.#ports(), id: this.options.id, batchSizeMax: 20 });
    distributor.start();
    this.#stopRole = () => distributor.stop();
  }

  async #startWorker(incarnation: string): Promise<void> {
    const { id, policy, slots, offer, ledger, exit, process } = this.options;
    const { store, runtime, keys } = this.#ports();
    const holder = holderOf(id, incarnation);
    // The attempt that a task's handler is called for next; the worker names it before it calls.
    const named = new Map<string, string>();
    let running = 0;
    const agents = simAgents({
      runtime,
      enter: (task) => {
        running += 1;
        if (running > slots) ledger.violate('slots-bound-running-attempts', `${holder} runs ${running} of ${slots}`);
        return ledger.run(named.get(task) ?? '');
      },
      leave: () => {
        running -= 1;
      },
    });
    const cards = agents.list().map((agent) => ({ name: agent.name, card: JSON.stringify(cardOf(agent)) }));
    await this.#patiently(() => store.announce(cards));
    for (let shard = 0; shard < policy.shards; shard++) {
      await this.#patiently(() => store.enlist(shard, id, incarnation));
    }
    const { deployment, shards, heartbeatIntervalMs, instanceTtlMs, readyProgressWithinMs, timeoutGraceMs } = policy;
    const times = { heartbeatIntervalMs, instanceTtlMs, readyProgressWithinMs, timeoutGraceMs };
    const settings: WorkerSettings = { id, incarnation, deployment, shards, slots, ...offer, ...times };
    const worker = new Worker({
      ...settings,
      store,
      keys,
      runtime,
      agents,
      heart: startHeartbeatLoop(heartSettings(settings, agents), { store, keys, runtime }),
      observe: (event) => {
        if (!process.alive) return;
        if (event.type === 'fault' || event.type === 'message.rejected') this.#observe(event);
        if (event.type === 'report.resent') ledger.saw('report resent');
        if (event.type === 'attempt.ended') ledger.ended(event.attemptId, event.outcome);
        if (event.type !== 'attempt.started') return;
        named.set(event.task, event.attemptId);
        ledger.started(event.attemptId, event.task, holder, { worker: id, ...offer });
      },
      onReplaced: () => exit('replaced'),
      onFatal: (error) => exit(error.message),
    });
    worker.start();
    this.#stopRole = () => worker.stop({ drainMs: STOP_MS });
  }

  #patiently<T>(call: () => Promise<T>): Promise<T> {
    const { signal } = this.#registering;
    return patiently(call, { runtime: this.options.process.runtime, tries: Number.POSITIVE_INFINITY, signal });
  }
}
