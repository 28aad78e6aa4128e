import type { Ports } from '../fleet/ports.ts';
import { patiently } from '../store/patience.ts';
import { type HistoryLine, historyOf } from '../task/view.ts';
import { type Caller, OPERATOR } from './caller.ts';
import { findTasks } from './task-list.ts';

/** Tasks whose lines are shown together. */
const TASKS_MAX = 1_000;
/** Blocks of at most 100 tasks looked at in one call. */
const BLOCKS_PER_CALL = 2_000;
const TRIES = 2;

export interface CorrelatedHistory {
  correlationId: string;
  tasks: { id: string; agent: string; state: string; parentId?: string }[];
  /** Of all these tasks, by time. */
  history: (HistoryLine & { task: string })[];
  /** Lines that bounded histories no longer hold. */
  dropped: number;
  /** Not everything was looked at: ask again with `cursor`. */
  nextCursor: string | null;
}

export class HistoryService {
  readonly #options: Pick<Ports, 'store' | 'runtime' | 'policy'>;

  constructor(options: Pick<Ports, 'store' | 'runtime' | 'policy'>) {
    this.#options = options;
  }

  /** What happened to all tasks of one correlation. */
  async ofCorrelation(
    correlationId: string,
    { cursor }: { cursor?: string } = {},
    caller: Caller = OPERATOR,
  ): Promise<CorrelatedHistory> {
    const { store, runtime, policy } = this.#options;
    const own = caller.tenant === null ? {} : { tenant: caller.tenant };
    const filter = { correlationId, ...own, ...(cursor === undefined ? {} : { cursor }) };
    const bounds = { limit: TASKS_MAX, blocksMax: BLOCKS_PER_CALL };
    const found = await patiently(() => findTasks(store, policy.shards, filter, bounds), { runtime, tries: TRIES });
    const told = found.records.map((record) => ({ record, ...historyOf(record) }));
    const history = told.flatMap(({ record, lines }) => lines.map((line) => ({ task: record.id, ...line })));
    history.sort((a, b) => (a.at === b.at ? 0 : a.at < b.at ? -1 : 1));
    return {
      correlationId,
      tasks: found.records.map(({ id, state, spec: { agent, parentId } }) =>
        parentId === undefined ? { id, agent, state } : { id, agent, state, parentId },
      ),
      history,
      dropped: told.reduce((sum, { dropped }) => sum + dropped, 0),
      nextCursor: found.nextCursor,
    };
  }
}
