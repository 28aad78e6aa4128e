import { AgentSystemError } from '../errors.ts';
import type { TaskView } from '../task/view.ts';

/** The task ended as failed. `code` is the last attempt's own, in lower_snake: `handler_error`, `timeout`, … */
export class TaskFailedError extends AgentSystemError {
  readonly task: TaskView;

  constructor(task: TaskView) {
    const { code, message, retryable } = task.error ?? {
      code: 'failed',
      message: 'no reason was given',
      retryable: false,
    };
    super(code, message, { retryable, details: { id: task.id } });
    this.name = 'TaskFailedError';
    this.task = task;
  }
}

/** The task was cancelled; the message is the reason that was given. */
export class TaskCancelledError extends AgentSystemError {
  readonly task: TaskView;

  constructor(task: TaskView) {
    super('cancelled', task.error?.message ?? 'cancelled', { details: { id: task.id } });
    this.name = 'TaskCancelledError';
    this.task = task;
  }
}

/** The wait is over, the task is not: it goes on, and `result()` may be called again. */
export class WaitTimeoutError extends AgentSystemError {
  /** As it stood when the wait ended. */
  readonly task: TaskView;

  constructor(task: TaskView, waitedMs: number) {
    super('WAIT_TIMEOUT', `task ${task.id} is still ${task.state} after ${waitedMs} ms of waiting`, {
      retryable: true,
      details: { id: task.id, state: task.state },
    });
    this.name = 'WaitTimeoutError';
    this.task = task;
  }
}

/** No coordinator answered: whether what was asked took effect is unknown. */
export class UnreachableError extends AgentSystemError {
  constructor(message: string, cause?: unknown) {
    super('UNREACHABLE', message, { retryable: true, cause });
    this.name = 'UnreachableError';
  }
}

/** What the system answered over HTTP instead of what was asked for. `code` is the server's. */
export class ResponseError extends AgentSystemError {
  readonly status: number;
  /** Undefined when the server did not say. */
  readonly retryAfterMs: number | undefined;

  constructor(status: number, error: ResponseFacts) {
    super(error.code, error.message, { retryable: mayPass(status), details: error.details });
    this.name = 'ResponseError';
    this.status = status;
    this.retryAfterMs = error.retryAfterMs;
  }
}

export interface ResponseFacts {
  code: string;
  message: string;
  details?: Record<string, unknown> | undefined;
  retryAfterMs?: number | undefined;
}

/** Too many requests, or a server or proxy that cannot answer for now; a 500 is a fault that stays. */
function mayPass(status: number): boolean {
  return status === 429 || (status >= 502 && status <= 504);
}
