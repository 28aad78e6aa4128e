import type { VirtualRuntime } from '../../src/runtime/virtual-runtime.ts';
import type { SystemPolicy } from '../../src/task/policy.ts';
import type { Chance } from './chance.ts';
import { faultyStore } from './faulty-store.ts';
import type { Ledger, SimOffer } from './ledger.ts';
import { Member, type RoleName } from './members.ts';
import { SimProcess } from './sim-process.ts';
import type { SimServer } from './sim-server.ts';
import type { Weather } from './weather.ts';

/** Skew of a host's clock at most: what the store's time is there to make harmless. */
const SKEW_MS_MAX = 6_000;

/** A place for one process; processes come and go on it. */
export interface Seat {
  role: RoleName;
  id: string;
  host: string;
  slots: number;
  offer: SimOffer;
}

export interface ClusterOptions {
  world: VirtualRuntime;
  server: SimServer;
  weather: Weather;
  ledger: Ledger;
  policy: SystemPolicy;
  chance: Chance;
}

/** All processes of one simulated deployment. */
export class Cluster {
  readonly #options: ClusterOptions;
  readonly #members = new Set<Member>();
  readonly seats: Seat[] = [];
  #lastPid = 100;
  #lastId = 0;

  constructor(options: ClusterOptions) {
    this.#options = options;
  }

  newSeat(role: RoleName): Seat {
    const id = `${role[0]}${++this.#lastId}`;
    const offer = { labels: { zone: this.#lastId % 2 === 0 ? 'eu' : 'us' }, resources: { gpu: this.#lastId % 3 } };
    const seat = { role, id, offer, host: `host-${id}`, slots: this.#options.chance.between(1, 5) };
    this.seats.push(seat);
    return seat;
  }

  members(role?: RoleName): Member[] {
    return [...this.#members].filter((member) => role === undefined || member.role === role);
  }

  holds(seat: Seat): boolean {
    return this.members().some(({ options }) => options.id === seat.id);
  }

  /** @param host elsewhere than the seat's own: someone starts the same id twice */
  start(seat: Seat, host = seat.host): Member {
    const { world, server, weather, ledger, policy, chance } = this.#options;
    const pid = ++this.#lastPid;
    const offsetMs = chance.between(-SKEW_MS_MAX, SKEW_MS_MAX);
    const process = new SimProcess(world, `${seat.id}#${pid}`, { pid, offsetMs });
    const apply = (...call: Parameters<SimServer['apply']>) => server.apply(...call);
    const member: Member = new Member(seat.role, {
      id: seat.id,
      host,
      process,
      store: faultyStore({ world, process, weather, apply }),
      policy,
      ledger,
      isAlive: (other) => this.members().some(({ options }) => options.process.pid === other && options.host === host),
      // In the next turn, as a process that ends itself still finishes what it is doing.
      exit: () => void world.after(0, () => this.kill(member)),
      slots: seat.slots,
      offer: seat.offer,
    });
    this.#members.add(member);
    void member.start();
    return member;
  }

  kill(member: Member): void {
    member.options.process.kill();
    this.#members.delete(member);
  }

  /** SIGTERM; answers whether it was gone within `ms`, else it is killed. */
  async stop(member: Member, ms: number): Promise<boolean> {
    const { world } = this.#options;
    const stopped = new Promise<boolean>((resolve) => {
      member.options.process.run(() => void member.stop().then(() => resolve(true)));
      world.after(ms, () => resolve(false));
    });
    const inTime = await stopped;
    this.kill(member);
    return inTime;
  }
}
