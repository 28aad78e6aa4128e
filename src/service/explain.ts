/*
 * Why a task stands where it stands. Pure: from the record and what is known of its shard and its workers, one reason for
 * each thing that has to happen before it goes on, the hardest first. Whoever asks sees the same as the distributors, but
 * a moment later.
 */
import { type Amounts, meets, type Requirements, timesThatFit } from '../scheduling/requirements.ts';
import { attemptOf, isTerminal, type TaskRecord } from '../task/task.ts';
import { isoOf } from '../task/view.ts';

export const REASON_CODES = [
  'ended',
  'scheduled_until',
  'backoff_until',
  'waiting',
  'waiting_for_start',
  'running_since',
  'worker_silent',
  'no_owner',
  'store_away',
  'queue_paused',
  'key_unknown',
  'no_worker_for_agent',
  'no_worker_matches',
  'no_worker_ready',
  'no_distributor',
  'cap_reached',
  'all_slots_busy',
  'resources_in_use',
  'behind',
  'being_assigned',
] as const;
export type ReasonCode = (typeof REASON_CODES)[number];

export interface Reason {
  code: ReasonCode;
  /** For people. */
  message: string;
  /** When it ends by itself, where that is known. */
  until?: string;
  /** Facts for programs, by code. */
  [fact: string]: unknown;
}

/** A worker as its last verified heartbeat showed it. */
export interface WorkerFacts {
  worker: string;
  agents: readonly string[];
  labels?: Record<string, string>;
  resources?: Record<string, number>;
  used?: Amounts;
  slots: number;
  /** Attempts it may hold beyond its slots, for these agents. */
  extra: number;
  quick: readonly string[];
  /** Attempts it holds, started or not. */
  held: number;
  state: 'taking' | 'draining' | 'not_ready' | 'lost';
  /** The distributor it belongs to, if that one lives. */
  distributor: string | null;
}

export interface WaitFacts {
  /** Of the task's shard; null = none stands now. */
  owner: string | null;
  paused: boolean;
  /** Null: its seal is of a key that is known here. */
  unknownKey: string | null;
  workers: readonly WorkerFacts[];
  /** Distributors that live. */
  distributors: number;
  /** The full cap its lane waits for. */
  cap: CapFacts | null;
  /** Null: it does not stand in its lane. */
  place: { inLane: number; ofOthers: number; isAll: boolean } | null;
}

export interface CapFacts {
  cap: string;
  used: number;
  limit: number | null;
  /** Some of the tasks that fill it. */
  tasks: string[];
}

/** @param now store time */
export function explain(task: TaskRecord, facts: WaitFacts, now: number): Reason[] {
  if (isTerminal(task.state)) return [ended(task)];
  const reasons = stateReasons(task, facts, now);
  if (facts.owner === null) reasons.push(noOwner());
  return reasons;
}

function stateReasons(task: TaskRecord, facts: WaitFacts, now: number): Reason[] {
  switch (task.state) {
    case 'scheduled':
      return [untilDue(task, now)];
    case 'assigned':
    case 'running':
      return active(task, facts);
    case 'queued':
      return queued(task, facts);
    default:
      return [{ code: 'waiting', message: 'it is parked: it waits for its children or for input, and holds no slot' }];
  }
}

function ended({ state, trail }: TaskRecord): Reason {
  const { error, endedAt } = trail;
  const why = error ? `: ${error.message}` : '';
  const reason: Reason = { code: 'ended', message: `it has ended as ${state}${why}`, ended: state };
  if (endedAt !== undefined) reason.at = isoOf(endedAt);
  if (error) reason.error = error.code;
  return reason;
}

function untilDue({ trail, spec }: TaskRecord, now: number): Reason {
  const until = isoOf(trail.dueAt ?? now);
  if (trail.used === 0)
    return { code: 'scheduled_until', message: `it was asked to begin no earlier than ${until}`, until };
  const { code = 'failed' } = trail.error ?? {};
  const message = `attempt ${trail.used} of ${spec.retry.maxAttempts} ended with ${code}, the next one waits until ${until}`;
  return {
    code: 'backoff_until',
    message,
    until,
    attempt: trail.used,
    maxAttempts: spec.retry.maxAttempts,
    error: code,
  };
}

function active(task: TaskRecord, { workers }: WaitFacts): Reason[] {
  const { worker, assignedAt, startedAt } = attemptOf(task);
  const since = isoOf(startedAt ?? assignedAt);
  const reasons: Reason[] = [
    task.state === 'running'
      ? {
          code: 'running_since',
          message: `worker ${worker} has been running it since ${since}`,
          until: isoOf((startedAt ?? assignedAt) + task.spec.timeoutMs),
          since,
          worker,
        }
      : {
          code: 'waiting_for_start',
          message: `worker ${worker} was given it at ${since} and has not started it yet`,
          since,
          worker,
        },
  ];
  const known = workers.find((one) => one.worker === worker);
  if (!known || known.state === 'lost') {
    const message = `worker ${worker} is not heard of any more: its tasks are taken from it when its lease has ended`;
    reasons.push({ code: 'worker_silent', message, worker });
  }
  return reasons;
}

function noOwner(): Reason {
  const message = 'no coordinator owns its shard now: nothing is promoted, retried or ended until one does';
  return { code: 'no_owner', message };
}

function queued(task: TaskRecord, facts: WaitFacts): Reason[] {
  const { agent } = task.spec;
  const reasons: Reason[] = [];
  if (facts.paused) {
    reasons.push({
      code: 'queue_paused',
      message: `the queue of ${agent} is paused: nothing of it is assigned`,
      agent,
    });
  }
  if (facts.unknownKey !== null) {
    const message = `its seal is of a key that this coordinator does not know: ${facts.unknownKey}`;
    reasons.push({ code: 'key_unknown', message });
  }
  if (facts.cap) reasons.push(capReached(facts.cap));
  reasons.push(...workerReasons(task, facts));
  const before = behind(facts);
  if (before) reasons.push(before);
  if (reasons.length > 0) return reasons;
  return [{ code: 'being_assigned', message: 'nothing holds it back: a distributor is about to assign it' }];
}

function capReached({ cap, used, limit, tasks }: CapFacts): Reason {
  const [kind = '', ...names] = cap.split('|');
  const which = CAP_KINDS[kind] ?? kind;
  const name = names.at(-1) ?? '';
  const message = `the ${which} ${name} has ${used} tasks assigned or running, at most ${limit ?? used} may be`;
  return { code: 'cap_reached', message, cap: which, name, used, limit, tasks };
}

const CAP_KINDS: Record<string, string> = { a: 'agent', t: 'tenant', k: 'concurrency key' };

function workerReasons({ spec }: TaskRecord, { workers, distributors }: WaitFacts): Reason[] {
  const { agent, require = {} } = spec;
  const living = workers.filter(({ state }) => state !== 'lost');
  const knowing = living.filter(({ agents }) => agents.includes(agent));
  const reasons: Reason[] = [];
  if (distributors === 0)
    reasons.push({ code: 'no_distributor', message: 'no distributor lives: nothing is assigned' });
  if (knowing.length === 0) return [...reasons, noWorker(agent, workers)];
  const able = knowing.filter((worker) => meets(worker, require));
  if (able.length === 0) return [...reasons, noneMatches(agent, require, knowing)];
  const taking = able.filter(({ state, distributor }) => state === 'taking' && distributor !== null);
  if (taking.length === 0) return [...reasons, noneTakes(agent, able)];
  return [...reasons, ...noRoom(agent, require, taking)];
}

function noWorker(agent: string, workers: readonly WorkerFacts[]): Reason {
  const lost = workers.filter(({ agents, state }) => agents.includes(agent) && state === 'lost').map(idOf);
  const gone =
    lost.length > 0 ? ` (${lost.length} that had it ${lost.length > 1 ? 'are' : 'is'} not heard of any more)` : '';
  return { code: 'no_worker_for_agent', message: `no living worker has agent ${agent}${gone}`, agent, lost };
}

/** Names what no worker has; where each thing is had by some, no single one has all of it. */
function noneMatches(agent: string, require: Requirements, knowing: readonly WorkerFacts[]): Reason {
  const unmet = singly(require).filter(({ only }) => !knowing.some((worker) => meets(worker, only)));
  const missing = unmet.length > 0 ? unmet : singly(require);
  const texts = missing.map(({ text }) => text);
  const whose = `${unmet.length > 0 ? 'no' : 'no single'} worker with agent ${agent}`;
  const message = `it requires ${texts.join(' and ')}: ${whose} meets that (${knowing.length} ${knowing.length === 1 ? 'lives' : 'live'})`;
  return { code: 'no_worker_matches', message, agent, missing: texts, workers: knowing.map(idOf) };
}

/** What is required, one thing at a time. */
function singly({ worker, labels = {}, resources = {} }: Requirements): { text: string; only: Requirements }[] {
  const all: { text: string; only: Requirements }[] = [];
  if (worker !== undefined) all.push({ text: `worker ${worker}`, only: { worker } });
  for (const [name, value] of Object.entries(labels)) {
    all.push({ text: `label ${name}=${value}`, only: { labels: { [name]: value } } });
  }
  for (const [name, need] of Object.entries(resources)) {
    all.push({ text: `resource ${name}=${need}`, only: { resources: { [name]: need } } });
  }
  return all;
}

function noneTakes(agent: string, able: readonly WorkerFacts[]): Reason {
  const states = able.map(({ worker, state, distributor }) => ({
    worker,
    state: state === 'taking' && distributor === null ? 'without distributor' : state,
  }));
  const told = states.map(({ worker, state }) => `${worker} (${state.replaceAll('_', ' ')})`).join(', ');
  const message = `no worker that could run it takes work now: ${told}`;
  return { code: 'no_worker_ready', message, agent, workers: states };
}

function noRoom(agent: string, require: Requirements, taking: readonly WorkerFacts[]): Reason[] {
  const free = taking.filter((worker) => worker.held < creditOf(worker, agent));
  if (free.length === 0) {
    const busy = taking.map(({ worker, held, slots }) => ({ worker, held, slots }));
    const told = busy.map(({ worker, held, slots }) => `${worker} (${held} of ${slots})`).join(', ');
    return [{ code: 'all_slots_busy', message: `all slots that could run it are taken: ${told}`, workers: busy }];
  }
  const { resources } = require;
  if (free.some(({ resources: has, used }) => timesThatFit(resources, has, used) > 0)) return [];
  const workers = free.map(({ worker, resources: has = {}, used = {} }) => ({ worker, resources: has, used }));
  const message = 'the workers with a free slot have not enough of the resources it requires left';
  return [{ code: 'resources_in_use', message, require: resources, workers }];
}

function creditOf({ slots, extra, quick }: WorkerFacts, agent: string): number {
  return quick.includes(agent) ? slots + extra : slots;
}

function behind({ place }: WaitFacts): Reason | null {
  if (!place) return null;
  const count = place.inLane + place.ofOthers;
  if (count === 0) return null;
  const many = `${place.isAll ? '' : 'at least '}${count} ${count === 1 ? 'task is' : 'tasks are'}`;
  return { code: 'behind', message: `${many} before it`, count, inLane: place.inLane, isAll: place.isAll };
}

function idOf({ worker }: WorkerFacts): string {
  return worker;
}
