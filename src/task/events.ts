import type { TaskState } from './task.ts';

/** What happened to a task, in order. `version` is the cursor within the task's own history. */
export interface TaskEvent {
  type: TaskEventType;
  id: string;
  version: number;
  state: TaskState;
  agent: string;
  at: number;
}

export type TaskEventType =
  | 'task.submitted'
  | 'task.scheduled'
  | 'task.queued'
  | 'task.assigned'
  | 'task.started'
  | 'task.progress'
  | 'task.waiting'
  | 'task.completed'
  | 'task.failed'
  | 'task.cancelled'
  | 'task.retried';
