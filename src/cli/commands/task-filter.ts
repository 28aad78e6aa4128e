/** Which tasks are meant: the flags that all commands over many tasks share. */
import type { Command } from 'commander';
import type { TaskFilter } from '../../client/client.ts';
import type { TaskState } from '../../task/task.ts';
import { durationFlag, labelFlag, stateFlag } from '../flags.ts';

export interface FilterFlags {
  state?: TaskState[];
  agent?: string;
  tenant?: string;
  label?: Record<string, string>;
  correlation?: string;
  worker?: string;
  olderThan?: number;
}

/** @param withState false where the command says itself in which states tasks are meant */
export function addFilterOptions(command: Command, { withState = true } = {}): Command {
  if (withState) command.option('--state <states>', 'only these states, with commas between them', stateFlag);
  return command
    .option('--agent <name>', 'only tasks of this agent')
    .option('--tenant <name>', 'only tasks of this tenant')
    .option('--label <name=value>', 'only tasks with this label; repeatable', labelFlag)
    .option('--correlation <id>', 'only tasks with this correlation id')
    .option('--worker <id>', 'only tasks whose attempt, now or last, is on this worker')
    .option('--older-than <duration>', 'only tasks created longer ago than this', durationFlag);
}

/** @param now what `--older-than` counts from */
export function filterOf(flags: FilterFlags, now: number): TaskFilter {
  const { state, agent, tenant, label, correlation, worker, olderThan } = flags;
  const createdBefore = olderThan === undefined ? undefined : new Date(now - olderThan);
  return { state, agent, tenant, labels: label, correlationId: correlation, worker, createdBefore };
}

export function namesTasks({ state, agent, tenant, label, correlation, worker, olderThan }: FilterFlags): boolean {
  return [state, agent, tenant, label, correlation, worker, olderThan].some((value) => value !== undefined);
}
