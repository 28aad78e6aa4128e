import type { AgentRetry } from '../agent/define-agent.ts';
import { parseDuration } from '../config/parse.ts';
import { AgentSystemError } from '../errors.ts';
import type { PRIORITY_NAMES } from '../scheduling/order.ts';
import type { SubmitRequest } from '../service/submit-request.ts';

/** Milliseconds, or a text such as `250ms`, `30s`, `5m`, `1h`. */
export type Duration = number | string;

export interface SubmitOptions {
  /** 0 to 10 or a name; default 5. */
  priority?: number | keyof typeof PRIORITY_NAMES;
  /** Makes the submit repeatable: the same key and content give the same task, per tenant and agent. */
  key?: string;
  method?: string;
  tenant?: string;
  /** Not before so long from now. */
  delay?: Duration;
  /** Not before this time; ISO 8601 where it is a text. */
  runAt?: Date | string;
  /** Run timeout of one attempt. */
  timeout?: Duration;
  /** Longest stay in the queue: a task not assigned by then ends as failed, `expired`. */
  queueTimeout?: Duration;
  /** The whole life from creation: beyond it the task ends as failed, `expired`, or `timeout` while it runs. */
  totalTimeout?: Duration;
  /** What its worker must be (`worker`: an id) or have (`labels`, all of them; `resources`, held while it runs). */
  require?: { worker?: string; labels?: Record<string, string>; resources?: Record<string, number> };
  /**
   * Tasks of an agent and tenant with the same one share its `concurrencyPerKey`: without that they run one after
   * another. Where the system has several shards, it cannot be given together with `key`.
   */
  concurrencyKey?: string;
  retry?: AgentRetry;
  labels?: Record<string, string>;
  correlationId?: string;
  metadata?: Record<string, unknown>;
  session?: string;
  delivery?: 'at-least-once' | 'at-most-once';
  /** What the task and its result must outlive before they are answered; refused where the store cannot do it. */
  durability?: 'memory' | 'local' | 'replicated';
}

/** What goes to the system; it checks everything but the durations, which only exist here. */
export function requestOf(agent: string, input: unknown, options: SubmitOptions = {}): SubmitRequest {
  const { delay, timeout, queueTimeout, totalTimeout, runAt, ...same } = options;
  // JSON has no undefined: it would be no input at all, which is refused.
  const request: SubmitRequest = { ...same, agent, input: input === undefined ? null : input };
  if (delay !== undefined) request.delayMs = durationMs('delay', delay);
  if (timeout !== undefined) request.timeoutMs = durationMs('timeout', timeout);
  if (queueTimeout !== undefined) request.queueTimeoutMs = durationMs('queueTimeout', queueTimeout);
  if (totalTimeout !== undefined) request.totalTimeoutMs = durationMs('totalTimeout', totalTimeout);
  if (runAt !== undefined) request.runAt = runAt instanceof Date ? isoOf(runAt) : runAt;
  return request;
}

/** Throws BAD_REQUEST that names the option. */
export function durationMs(name: string, value: Duration): number {
  const ms = typeof value === 'string' ? parseDuration(value) : value;
  if (ms !== undefined && Number.isFinite(ms) && ms >= 0) return Math.round(ms);
  throw refused(
    name,
    typeof value === 'string' ? JSON.stringify(value) : String(value),
    'milliseconds, 250ms, 30s, 5m or 1h',
  );
}

function isoOf(date: Date): string {
  if (Number.isNaN(date.getTime())) throw refused('runAt', 'a date that is none', 'a valid Date or an ISO 8601 text');
  return date.toISOString();
}

function refused(name: string, found: string, wanted: string): AgentSystemError {
  return new AgentSystemError('BAD_REQUEST', `${name} is ${found}, wanted ${wanted}`, {
    details: { fields: [{ field: name, problem: `found ${found}, wanted ${wanted}` }] },
  });
}
