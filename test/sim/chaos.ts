/* What happens to a deployment: processes die, stand still and come back, the store goes away, someone meddles. */
import type { VirtualRuntime } from '../../src/runtime/virtual-runtime.ts';
import { indexesOf } from '../../src/store/indexes.ts';
import type { IndexChange, Store, Unit } from '../../src/store/store.ts';
import { shardOf } from '../../src/task/id.ts';
import type { SystemPolicy } from '../../src/task/policy.ts';
import { isTerminal, type TaskRecord } from '../../src/task/task.ts';
import type { Chance } from './chance.ts';
import type { Cluster, Seat } from './cluster.ts';
import type { Ledger } from './ledger.ts';
import type { Member } from './members.ts';
import type { SimServer } from './sim-server.ts';
import type { Weather } from './weather.ts';

const ACTIONS = {
  crash: 6,
  pause: 4,
  terminate: 3,
  usurp: 1,
  outage: 2,
  partition: 3,
  'step-clock': 1,
  'harm-index': 3,
  'replay-report': 2,
  'forge-task': 1,
} as const;
type Action = keyof typeof ACTIONS;

export interface ChaosOptions {
  world: VirtualRuntime;
  chance: Chance;
  cluster: Cluster;
  weather: Weather;
  server: SimServer;
  /** Behind the network: where someone meddles without keys. */
  store: Store;
  ledger: Ledger;
  policy: SystemPolicy;
}

export class Chaos {
  readonly #options: ChaosOptions;
  readonly #weights: Record<Action, number>;
  readonly #gapMsMax: number;
  readonly counts: Partial<Record<Action, number>> = {};
  #on = true;

  constructor(options: ChaosOptions) {
    this.#options = options;
    const { chance } = options;
    this.#gapMsMax = chance.between(500, 3_500);
    const entries = Object.entries(ACTIONS).map(([action, weight]) => [action, chance.happens(0.6) ? weight : 0]);
    this.#weights = { ...(Object.fromEntries(entries) as Record<Action, number>), crash: ACTIONS.crash };
  }

  start(): void {
    this.#next();
  }

  stop(): void {
    this.#on = false;
  }

  #next(): void {
    const { world, chance } = this.#options;
    world.after(chance.between(50, this.#gapMsMax), () => {
      if (!this.#on) return;
      this.#act(chance.weighted(this.#weights));
      this.#next();
    });
  }

  #act(action: Action): void {
    this.counts[action] = (this.counts[action] ?? 0) + 1;
    const { chance, cluster, weather, policy } = this.#options;
    const members = cluster.members();
    const member = members.length > 0 ? chance.pick(members) : null;
    if (action === 'outage') return weather.takeAway(chance.between(50, 6_000));
    if (action === 'harm-index') return void this.#harmIndex();
    if (action === 'replay-report') return this.#replayReport();
    if (action === 'forge-task') return void this.#forgeTask();
    if (!member) return;
    const { process } = member.options;
    if (action === 'crash') this.#crash(member);
    if (action === 'pause') this.#pause(member, chance.between(100, 4 * policy.instanceTtlMs));
    if (action === 'terminate') this.#terminate(member);
    if (action === 'usurp') this.#usurp(member);
    if (action === 'partition') weather.partition(process.name, chance.between(100, 3 * policy.instanceTtlMs));
    if (action === 'step-clock') process.stepClock(chance.between(-4_000, 4_000));
  }

  #seatOf({ options }: Member): Seat {
    return this.#options.cluster.seats.find(({ id }) => id === options.id)!;
  }

  #crash(member: Member): void {
    this.#options.cluster.kill(member);
    this.#comeBack(this.#seatOf(member));
  }

  /** At once, later, or someone else in its place. */
  #comeBack(seat: Seat): void {
    const { world, chance, cluster } = this.#options;
    const afterMs = chance.happens(0.4) ? 0 : chance.between(10, 8_000);
    const as = chance.happens(0.75) ? seat : cluster.newSeat(seat.role);
    world.after(afterMs, () => {
      if (this.#on && !cluster.holds(as)) cluster.start(as);
    });
  }

  #pause(member: Member, ms: number): void {
    member.options.process.pause();
    this.#options.world.after(ms, () => member.options.process.resume());
  }

  #terminate(member: Member): void {
    void this.#options.cluster.stop(member, 6_000).then(() => this.#comeBack(this.#seatOf(member)));
  }

  /** The process stands still; its id is started on another host and taken over once it has expired; then it goes on. */
  #usurp(member: Member): void {
    const { cluster, chance, policy } = this.#options;
    this.#pause(member, policy.instanceTtlMs * chance.between(1, 3));
    cluster.start(this.#seatOf(member), 'elsewhere');
  }

  /** An index entry vanishes, or one stands there for nothing. */
  async #harmIndex(): Promise<void> {
    const { ledger, chance, store, policy } = this.#options;
    const living = [...ledger.tasks.values()].filter((task) => !isTerminal(task.state));
    if (living.length === 0) return;
    const task = chance.pick(living);
    // Nobody can keep to a limit while what counts for it is taken away; that it comes back is tested elsewhere.
    const entries = indexesOf(task as TaskRecord, policy).filter((entry) => !isCap(entry));
    if (entries.length === 0) return;
    const entry = chance.pick(entries);
    const indexes: IndexChange[] = chance.happens(0.7)
      ? [{ ...entry, do: 'remove' } as IndexChange]
      : [{ do: 'add', index: chance.pick(['due', 'deadline', 'cap:a|narrow'] as const), member: task.id, score: 0 }];
    const unit: Unit = { id: task.id, expect: task.version, state: task.state, repair: true, indexes };
    await store.commit(shardOf(task.id), { op: 'meddling', units: [unit] });
  }

  #replayReport(): void {
    const { server, chance, store } = this.#options;
    // The last ones still fit their attempts; older ones speak of what is over.
    const { seenReports } = server;
    const among = chance.happens(0.7) ? seenReports.slice(-3) : seenReports;
    const envelope = among.length > 0 ? chance.pick(among) : 'not an envelope';
    void store.report(0, { worker: 'w1', incarnation: '1-x', envelope, hint: '{"w":7}' });
  }

  /** A record of someone who can write to the store and has no key. */
  async #forgeTask(): Promise<void> {
    const { ledger, chance, store, world, policy } = this.#options;
    const real = [...ledger.tasks.values()].find((task) => task.spec.agent === 'echo');
    if (!real) return;
    const id = `${real.id.slice(0, 17)}${world.id(8)}`;
    const spec = { ...real.spec, id };
    // Either no seal at all, or that of another task.
    const seal = chance.happens(0.5) ? 'AAAA' : real.sealed.seal;
    const score = world.now();
    const trail = { fence: 0, used: 0, attemptNumber: 0, crashes: 0, score, queuedAt: score, history: [] };
    const record = { ...real, id, spec, version: 0, state: 'queued' as const, trail };
    const unit: Unit = {
      id,
      expect: 0,
      state: 'queued',
      spec: `${seal} ${JSON.stringify(spec)}`,
      input: '{"text":"forged"}',
      trail: JSON.stringify(trail),
      indexes: indexesOf(record, policy),
    };
    ledger.forged.add(id);
    const commit = { op: `forged-${id}`, units: [unit] };
    const reply = await store.commit(shardOf(id), commit);
    ledger.committed('nobody', shardOf(id), commit, reply);
  }
}

function isCap(entry: IndexChange): boolean {
  return 'index' in entry && entry.index.startsWith('cap:');
}
