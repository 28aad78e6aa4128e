import type { TaskRecord } from '../task/task.ts';
import type { Commit } from './store.ts';

/** What a commit of these tasks must reach: the highest level that one of them asked for. Empty when none did. */
export function durabilityFor(tasks: Iterable<TaskRecord>): Pick<Commit, 'durability'> {
  let asked: 'local' | 'replicated' | undefined;
  for (const { spec } of tasks) {
    if (spec.durability === 'replicated') return { durability: 'replicated' };
    asked ??= spec.durability;
  }
  return asked ? { durability: asked } : {};
}
