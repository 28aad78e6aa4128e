import type { Observation, TaskFacts } from '../runtime/observer.ts';
import type { TaskEvent } from '../task/events.ts';
import type { TaskRecord } from '../task/task.ts';

type Moved = Extract<Observation, { type: 'task.moved' }>;

/** What is told of a record that was just committed, for one of the events that it was committed with. */
export function taskMoved(
  { id, version, state, trail, spec }: TaskRecord,
  { type: event, at }: Pick<TaskEvent, 'type' | 'at'>,
  facts?: TaskFacts,
): Moved {
  const from = stateBefore(trail.history, version);
  const { agent } = spec;
  return { type: 'task.moved', event, id, agent, from, state, at, version, attempt: trail.attemptNumber, facts };
}

/** One write may pass through several states: the one that it found is that of the version before. */
function stateBefore(history: TaskRecord['trail']['history'], version: number): string | undefined {
  for (let at = history.length - 1; at >= 0; at--) {
    const [written, , state] = history[at]!;
    if (written < version) return state;
  }
  return undefined;
}
