/**
 * Which worker runs a task: the least loaded one that may. Load is compared by occupied ÷ slots, then by the resources
 * in use, then by who has been idle longest, then by ref, so that the same input always gives the same plan.
 *
 * Every kind of task has a heap of the workers that may run it, made when its first task comes; kinds that may run on
 * the same workers share one, so a fleet of equal workers needs a single heap. Elsewhere a worker stands in several, and
 * taking a task changes its rank in all of them, but within one plan only ever for the worse. So a heap is mended
 * lazily: its first worker is ranked anew, and is the least loaded if its rank had not changed.
 */
import { type Heap, heapOf } from './heap.ts';
import { type Amounts, addAmounts, meets, type Offer, parseRequirements, timesThatFit } from './requirements.ts';

/** A worker as placement sees it. Its caller knows more; `ref` leads back there. */
export interface WorkerCapacity extends Offer {
  ref: string;
  agents: ReadonlySet<string>;
  slots: number;
  /** Attempts it may hold beyond its slots, for its quick agents only; see `extraCredit`. */
  extra: number;
  quick: ReadonlySet<string>;
  /** Attempts it has not yet released. */
  occupied: number;
  /** Those of priority 10 among them. */
  urgent?: number;
  /** 0 = never. */
  lastAssignedAt: number;
  /** Shares in use, from 0 to 1. */
  load?: { cpu?: number; memory?: number };
  /** Of its resources, what the attempts that it holds take. */
  used?: Amounts;
}

export interface PlaceableTask {
  agent: string;
  /** Canonical text, see `requirementsText`. */
  requirements?: string;
}

export interface Placement<T, W> {
  assignments: { task: T; worker: W }[];
  unplaced: T[];
}

/** Whether this worker is able to run this task at all, however busy it is: agent, pin, labels, resources. */
export function mayRun(worker: WorkerCapacity, task: PlaceableTask): boolean {
  return mayRunKind(worker, kindOf(task));
}

/** Tasks with equal keys get equal answers from `mayRun` and `roomFor` for every worker. */
export function eligibilityKey({ agent, requirements }: PlaceableTask): string {
  return requirements === undefined ? agent : `${agent}|${requirements}`;
}

/** What all tasks of one eligibility key ask for, read once. */
export interface TaskKind {
  agent: string;
  /** Undefined: nothing but the agent. Null: cannot be read, which no worker meets. */
  requires?: ReturnType<typeof parseRequirements>;
  /** Resources that each of them takes. */
  needs?: Amounts;
}

export function kindOf({ agent, requirements }: PlaceableTask): TaskKind {
  if (requirements === undefined) return { agent };
  const requires = parseRequirements(requirements);
  return { agent, requires, needs: requires?.resources };
}

export function mayRunKind(worker: WorkerCapacity, { agent, requires }: TaskKind): boolean {
  if (!worker.agents.has(agent)) return false;
  return requires === undefined || (requires !== null && meets(worker, requires));
}

/** How many more tasks of a kind that it may run fit this worker, by credit and by resources. */
export function roomFor(worker: WorkerCapacity, { agent, needs }: TaskKind, held: InUse = worker): number {
  const credit = freeCredit(worker, agent, held.occupied);
  return needs === undefined ? credit : Math.min(credit, timesThatFit(needs, worker.resources, held.used));
}

interface InUse {
  occupied: number;
  used?: Amounts;
}

/** How many more attempts of `agent` fit this worker, given how many it holds. */
export function freeCredit(worker: WorkerCapacity, agent: string, occupied = worker.occupied): number {
  if (!(worker.slots > 0)) return 0;
  const credit = worker.quick.has(agent) ? worker.slots + worker.extra : worker.slots;
  return Math.max(0, credit - occupied);
}

/**
 * Places tasks in the order given. What no worker has room for comes back as `unplaced`.
 * The workers are not changed; `now` counts as the last assignment of those that were chosen.
 */
export function placeTasks<T extends PlaceableTask, W extends WorkerCapacity>(
  tasks: readonly T[],
  workers: readonly W[],
  now: number,
): Placement<T, W> {
  const place = placer(workers, now);
  const placement: Placement<T, W> = { assignments: [], unplaced: [] };
  for (const task of tasks) {
    const worker = place(task);
    if (worker) placement.assignments.push({ task, worker });
    else placement.unplaced.push(task);
  }
  return placement;
}

/** Answers, one task after another, who takes it, and remembers it; null = no worker has room for this kind of task. */
export function placer<W extends WorkerCapacity>(
  workers: readonly W[],
  now: number,
): (task: PlaceableTask) => W | null {
  const queueFor = queuesOver(workers.map(seatOf));
  return (task) => {
    const { kind, heap } = queueFor(task);
    const seat = leastLoaded(heap, kind);
    if (!seat) return null;
    seat.occupied += 1;
    if (kind.needs) {
      seat.used = { ...seat.used };
      addAmounts(seat.used, kind.needs);
    }
    seat.ratio = seat.occupied / seat.worker.slots;
    seat.assignedAt = Math.max(seat.assignedAt, now);
    return seat.worker;
  };
}

/** A worker and its rank as this plan has changed it so far. */
interface Seat<W> {
  worker: W;
  occupied: number;
  used: Record<string, number> | undefined;
  ratio: number;
  load: number;
  assignedAt: number;
}

/** A seat in one heap, under the rank it had when it was last put in order there. */
interface Entry<W> {
  seat: Seat<W>;
  ratio: number;
  assignedAt: number;
}

function seatOf<W extends WorkerCapacity>(worker: W): Seat<W> {
  const { occupied, slots, lastAssignedAt, used } = worker;
  return { worker, occupied, used, ratio: occupied / slots, load: loadOf(worker), assignedAt: lastAssignedAt };
}

/** The scarcer resource counts. A worker that reports none is asked last, for nothing shows that it has any to spare. */
function loadOf(worker: WorkerCapacity): number {
  const { cpu, memory } = worker.load ?? {};
  return cpu === undefined && memory === undefined ? 1 : Math.max(cpu ?? 0, memory ?? 0);
}

interface KindQueue<W> {
  kind: TaskKind;
  heap: Heap<Entry<W>>;
}

/** The heap of each kind of task, by what it asks of workers. */
function queuesOver<W extends WorkerCapacity>(seats: readonly Seat<W>[]): (task: PlaceableTask) => KindQueue<W> {
  const byKind = new Map<string, KindQueue<W>>();
  const byWorkers = new Map<string, Heap<Entry<W>>>();
  return (task) => {
    const key = eligibilityKey(task);
    let queue = byKind.get(key);
    if (!queue) {
      const kind = kindOf(task);
      const answers = seats.map(({ worker }) => answerOf(worker, kind));
      // A worker leaves a heap when one task more does not fit: kinds of other needs must not share it.
      const workers = answers.join('') + JSON.stringify(kind.needs ?? {});
      const heap = byWorkers.get(workers) ?? heapOf(entriesOf(seats, answers), lessLoaded);
      queue = { kind, heap };
      byWorkers.set(workers, heap);
      byKind.set(key, queue);
    }
    return queue;
  };
}

/** All that a heap depends on: whether the worker may run the task, and which of its two credits counts. */
function answerOf(worker: WorkerCapacity, kind: TaskKind): 'no' | 'slots' | 'extra' {
  // A worker without slots has no rank: nothing ÷ nothing would leave the heap without order.
  if (!(worker.slots > 0) || !mayRunKind(worker, kind)) return 'no';
  return worker.quick.has(kind.agent) ? 'extra' : 'slots';
}

function entriesOf<W>(seats: readonly Seat<W>[], answers: readonly string[]): Entry<W>[] {
  const entries: Entry<W>[] = [];
  for (const [at, seat] of seats.entries())
    if (answers[at] !== 'no') entries.push({ seat, ratio: seat.ratio, assignedAt: seat.assignedAt });
  return entries;
}

function lessLoaded<W extends WorkerCapacity>(a: Entry<W>, b: Entry<W>): boolean {
  if (a.ratio !== b.ratio) return a.ratio < b.ratio;
  if (a.seat.load !== b.seat.load) return a.seat.load < b.seat.load;
  if (a.assignedAt !== b.assignedAt) return a.assignedAt < b.assignedAt;
  return a.seat.worker.ref < b.seat.worker.ref;
}

/** Ends because each turn drops a full worker or brings a rank up to date, and ranks do not change meanwhile. */
function leastLoaded<W extends WorkerCapacity>(heap: Heap<Entry<W>>, kind: TaskKind): Seat<W> | null {
  for (;;) {
    const entry = heap.peek();
    if (!entry) return null;
    const { seat } = entry;
    if (roomFor(seat.worker, kind, seat) === 0) heap.pop();
    else if (entry.ratio === seat.ratio && entry.assignedAt === seat.assignedAt) return seat;
    else {
      entry.ratio = seat.ratio;
      entry.assignedAt = seat.assignedAt;
      heap.settleFirst();
    }
  }
}
