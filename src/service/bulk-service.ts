/*
 * One wish for many tasks: those of a filter, or those named. Each call does a bounded part of it and says where to go
 * on, so nothing runs for long and a call that was cut off can be made again: what it has done no longer matches.
 */
import { AgentSystemError, StoreUnavailableError } from '../errors.ts';
import { scoreOf } from '../scheduling/order.ts';
import { patiently } from '../store/patience.ts';
import { isTerminal, TASK_STATES, type TaskRecord, type TaskState } from '../task/task.ts';
import { type Caller, OPERATOR } from './caller.ts';
import { type Change, changeMany, type ManyPorts } from './change-many.ts';
import { RecordReader } from './record-reader.ts';
import { findTasks, type ListFilter } from './task-list.ts';

/** Tasks changed by one call at most. */
export const BULK_LIMIT_MAX = 10_000;
export const BULK_IDS_MAX = 1_000;
/** Blocks of at most 100 tasks looked at in one call: where few match, the call ends early and says where to go on. */
const BLOCKS_PER_CALL = 2_000;
const SCAN_TRIES = 2;

export type BulkFilter = Omit<ListFilter, 'limit' | 'cursor'>;

export interface BulkRequest {
  /** Only these tasks; excludes `filter`. */
  ids?: string[];
  filter?: BulkFilter;
  /** Says that a filter which leaves nothing out is meant so. */
  all?: boolean;
  dryRun?: boolean;
  limit?: number;
  /** `nextCursor` of the call before. */
  cursor?: string;
}

export interface BulkResult {
  /** Tasks that the wish applies to, of those looked at. */
  matched: number;
  changed: number;
  failed: { id: string; error: string }[];
  dryRun: boolean;
  /** There may be others: call again with `nextCursor`. */
  more: boolean;
  nextCursor: string | null;
}

type Wish = 'cancel' | 'retry' | 'drop';

/** The states in which each wish means something; a filter may narrow them. */
const STATES: Record<Wish, readonly TaskState[]> = {
  cancel: TASK_STATES.filter((state) => !isTerminal(state)),
  retry: ['failed', 'cancelled'],
  drop: ['failed'],
};
/** Where the filter names no state: what was cancelled was meant to end, so only failed tasks are tried again. */
const USUAL: Record<Wish, readonly TaskState[]> = { ...STATES, retry: ['failed'] };

export class BulkService {
  readonly #ports: ManyPorts;
  readonly #records: RecordReader;

  constructor(ports: ManyPorts) {
    this.#ports = ports;
    this.#records = new RecordReader(ports);
  }

  /** @throws BAD_REQUEST when nothing is left out and `all` is not set */
  cancel(request: BulkRequest & { reason?: string }, caller: Caller = OPERATOR): Promise<BulkResult> {
    const { reason = 'cancelled on request' } = request;
    return this.#do('cancel', request, () => ({ command: { type: 'cancel', reason } }), caller);
  }

  retry(request: BulkRequest, caller: Caller = OPERATOR): Promise<BulkResult> {
    const { priorityAgeing } = this.#ports.policy;
    const change = ({ spec }: TaskRecord, now: number): Change => {
      const score = scoreOf({ priority: spec.priority, queuedAt: now }, priorityAgeing);
      return { command: { type: 'retry', score } };
    };
    return this.#do('retry', request, change, caller);
  }

  /** Removes failed tasks for good. */
  drop(request: BulkRequest, caller: Caller = OPERATOR): Promise<BulkResult> {
    const change = ({ state }: TaskRecord): Change =>
      state === 'failed' ? { remove: true } : { refuse: `it is ${state}: only failed tasks are dropped` };
    return this.#do('drop', request, change, caller);
  }

  async #do(
    wish: Wish,
    request: BulkRequest,
    changeFor: (task: TaskRecord, now: number) => Change,
    caller: Caller,
  ): Promise<BulkResult> {
    const { dryRun = false } = request;
    const { records, failed, nextCursor } = request.ids
      ? await this.#named(wish, request.ids, caller)
      : await this.#filtered(wish, request, caller);
    const done = dryRun ? { changed: 0, failed: [] } : await changeMany(this.#ports, records, changeFor);
    return {
      matched: records.length,
      changed: done.changed,
      failed: [...failed, ...done.failed],
      dryRun,
      more: nextCursor !== null,
      nextCursor,
    };
  }

  async #filtered(wish: Wish, { filter = {}, all, limit = BULK_LIMIT_MAX, cursor }: BulkRequest, caller: Caller) {
    if (!all && isEmpty(filter)) throw leavesNothingOut(wish);
    const states = (filter.state ?? USUAL[wish]).filter((state) => STATES[wish].includes(state));
    const { tenant } = caller;
    const isOthers = tenant !== null && (filter.tenant ?? tenant) !== tenant;
    if (states.length === 0 || isOthers) return { records: [], failed: [], nextCursor: null };
    const wanted = { ...filter, state: states, ...(tenant === null ? {} : { tenant }), ...(cursor ? { cursor } : {}) };
    const { store, runtime, policy } = this.#ports;
    const bounds = { limit: Math.min(limit, BULK_LIMIT_MAX), blocksMax: BLOCKS_PER_CALL };
    const found = await patiently(() => findTasks(store, policy.shards, wanted, bounds), {
      runtime,
      tries: SCAN_TRIES,
    });
    return { ...found, failed: [] };
  }

  async #named(wish: Wish, ids: string[], caller: Caller) {
    const records: TaskRecord[] = [];
    const failed: BulkResult['failed'] = [];
    const read = (id: string) => this.#records.record(id, {}, caller).catch(refusalOf);
    for (const [at, found] of (await Promise.all(ids.map(read))).entries()) {
      const id = ids[at]!;
      if (found instanceof AgentSystemError) failed.push({ id, error: found.message });
      else if (STATES[wish].includes(found.state)) records.push(found);
      else failed.push({ id, error: `it is ${found.state}, ${wish} does not apply` });
    }
    return { records, failed, nextCursor: null };
  }
}

function refusalOf(error: unknown): AgentSystemError {
  if (error instanceof AgentSystemError && !(error instanceof StoreUnavailableError)) return error;
  throw error;
}

function isEmpty(filter: BulkFilter): boolean {
  return Object.values(filter).every((value) => value === undefined || isNone(value));
}

function isNone(value: unknown): boolean {
  return typeof value === 'object' && value !== null && Object.keys(value).length === 0;
}

function leavesNothingOut(wish: Wish): AgentSystemError {
  const problem = `leaves no task out: name what to ${wish}, or set all to true`;
  return new AgentSystemError('BAD_REQUEST', `the ${wish} is refused: filter ${problem}`, {
    details: { fields: [{ field: 'filter', problem }] },
  });
}
