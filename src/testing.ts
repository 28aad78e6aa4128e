/**
 * `agent-system/testing`: runs one attempt of an agent in the process of a test, without a system. What a worker does
 * around a handler happens here too: the input and the result are checked by their schemas and go through JSON, errors
 * get their codes, and a signal tells the handler to end.
 */
import { AttemptContext, type AttemptUsage, type LogLevel } from './agent/context.ts';
import { type Agent, DEFAULT_METHOD } from './agent/define-agent.ts';
import type { AbortCode, AttemptFailure } from './agent/errors.ts';
import { runMethod } from './agent/run-method.ts';
import { AgentSystemError } from './errors.ts';
import { systemRuntime } from './runtime/system-runtime.ts';
import { DEFAULT_POLICY } from './task/policy.ts';

export interface RunAgentOptions {
  /** Default `run`. */
  method?: string;
  /** Default `test-task`. */
  taskId?: string;
  /** Which attempt the handler is told that it is. Default 1. */
  attempt?: number;
  /** Aborts the attempt: the handler sees `ctx.signal.reason.code` as `cancelled`. */
  signal?: AbortSignal;
  /** Aborts the attempt with the code `timeout` after so many milliseconds. */
  timeoutMs?: number;
  /** Bytes of JSON that a result may have. Default 1 MiB, as MAX_PAYLOAD_BYTES. */
  resultBytesMax?: number;
}

/** What came of the attempt, and everything the handler said on the way. */
export interface AgentRun<Out = unknown> {
  ok: boolean;
  /** As whoever submitted the task would read it. Undefined unless `ok`. */
  result: Out | undefined;
  /** As the task would carry it. Undefined if `ok`. */
  error: AttemptFailure | undefined;
  /** Why the attempt was told to end, if it was. */
  aborted: AbortCode | undefined;
  progress: { value: number; note: string | undefined }[];
  logs: { level: LogLevel; message: string; fields: Record<string, unknown> | undefined }[];
  usage: AttemptUsage | undefined;
}

/**
 * Runs the agent's handler once. Never rejects for what the handler does: that is in `error`.
 *
 * @throws UNKNOWN_METHOD when the agent has no such method
 */
export async function runAgent<In, Out>(
  agent: Agent<In, Out>,
  input: NoInfer<In>,
  options: RunAgentOptions = {},
): Promise<AgentRun<Out>> {
  const { taskId = 'test-task', attempt = 1, resultBytesMax = DEFAULT_POLICY.maxPayloadBytes } = options;
  const method = methodOf(agent, options.method ?? DEFAULT_METHOD);
  const progress: AgentRun['progress'] = [];
  const logs: AgentRun['logs'] = [];
  const ctx = new AttemptContext(taskId, attempt, {
    runtime: systemRuntime,
    log: (level, message, fields) => logs.push({ level, message, fields }),
    progress: (value, note) => progress.push({ value, note }),
  });
  const release = abortOn(ctx, options);
  const outcome = await runMethod(method, JSON.stringify(input) ?? 'null', ctx, resultBytesMax).finally(release);
  ctx.close();
  return {
    ok: outcome.ok,
    result: outcome.ok ? (JSON.parse(outcome.result) as Out) : undefined,
    error: outcome.ok ? undefined : outcome.error,
    aborted: ctx.aborted,
    progress,
    logs,
    usage: ctx.used,
  };
}

function methodOf(agent: Agent, name: string) {
  const method = agent.methods.get(name);
  if (method) return method;
  const known = [...agent.methods.keys()].join(', ');
  throw new AgentSystemError('UNKNOWN_METHOD', `agent ${agent.name} has no method "${name}", it has ${known}`);
}

/** Answers how to let go of the signal and the timer. */
function abortOn(ctx: AttemptContext, { signal, timeoutMs }: RunAgentOptions): () => void {
  const cancel = () => ctx.abort('cancelled', 'cancelled by the test');
  if (signal?.aborted) cancel();
  signal?.addEventListener('abort', cancel, { once: true });
  const stop =
    timeoutMs === undefined
      ? undefined
      : systemRuntime.after(timeoutMs, () => ctx.abort('timeout', `run timed out after ${timeoutMs} ms`));
  return () => {
    stop?.();
    signal?.removeEventListener('abort', cancel);
  };
}
