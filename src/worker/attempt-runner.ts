import { AttemptContext, type AttemptFacts, type LogLevel } from '../agent/context.ts';
import type { AbortCode } from '../agent/errors.ts';
import { terminal } from '../agent/errors.ts';
import { type Outcome, runMethod } from '../agent/run-method.ts';
import type { Runtime } from '../runtime/runtime.ts';
import type { HeldAttempt } from './held-attempt.ts';
import type { ObserveWorker } from './worker-events.ts';

export interface RunnerPorts {
  runtime: Runtime;
  /** The store's time. */
  storeNow: () => number;
  resultBytesMax: number;
  observe: ObserveWorker;
  /** Takes this process's own secrets out of what a handler says of its failure or progress: others will read that. */
  redact: (text: string) => string;
  progress: (attempt: HeldAttempt, value: number, note: string | undefined) => void;
  /** The handler has ended, once per attempt. */
  ended: (attempt: HeldAttempt, outcome: Outcome) => void;
}

/** Calls the handler of an attempt that has a slot. */
export class AttemptRunner {
  readonly #ports: RunnerPorts;

  constructor(ports: RunnerPorts) {
    this.#ports = ports;
  }

  /** @param input JSON text */
  run(attempt: HeldAttempt, input: string): void {
    const { runtime, observe, ended, redact, resultBytesMax } = this.#ports;
    const { task, attemptId, attempt: number } = attempt.assignment;
    const context = new AttemptContext(task, number, {
      runtime,
      facts: () => factsOf(attempt),
      log: (level, message, fields) => this.#log(attempt, level, message, fields),
      progress: (value, note) => this.#ports.progress(attempt, value, note === undefined ? note : redact(note)),
    });
    attempt.context = context;
    const waitedMs = attempt.startedAt - attempt.arrivedAt;
    observe({ type: 'attempt.started', task, attemptId, agent: attempt.agent.name, attempt: number, waitedMs });
    if (!attempt.method) return ended(attempt, { ok: false, error: unknownMethod(attempt) });
    void runMethod(attempt.method, input, context, resultBytesMax).then((outcome) => {
      if (outcome.ok) return ended(attempt, outcome);
      if (outcome.stack !== undefined && !context.signal.aborted) this.#broke(attempt, redact(outcome.stack));
      ended(attempt, { ok: false, error: redacted(outcome.error, redact) });
    });
  }

  abort(attempt: HeldAttempt, code: AbortCode, message: string): void {
    attempt.context?.abort(code, message);
  }

  /** The task keeps only the message, for whoever submitted it; where it came from is for whoever wrote the agent. */
  #broke(attempt: HeldAttempt, stack: string): void {
    const { task, attempt: number, attemptId } = attempt.assignment;
    const line = { task, attempt: number, attemptId, agent: attempt.agent.name, fields: undefined };
    this.#ports.observe({ type: 'attempt.log', level: 'warn', message: 'The handler threw', stack, ...line });
  }

  #log(attempt: HeldAttempt, level: LogLevel, message: string, fields: Record<string, unknown> | undefined): void {
    const { task, attempt: number, attemptId } = attempt.assignment;
    const agent = attempt.agent.name;
    this.#ports.observe({ type: 'attempt.log', task, attempt: number, attemptId, agent, level, message, fields });
  }
}

function redacted<E extends { message: string }>(error: E, redact: (text: string) => string): E {
  return { ...error, message: redact(error.message) };
}

/** Read when somebody asks: few agents do. */
function factsOf({ assignment, deadlineAt }: HeldAttempt): AttemptFacts {
  const { tenant, session } = JSON.parse(assignment.spec) as AttemptFacts;
  return { tenant, session, deadlineAt };
}

function unknownMethod({ agent, methodName }: HeldAttempt) {
  const known = [...agent.methods.keys()].join(', ');
  return terminal('unknown_method', `agent "${agent.name}" has no method "${methodName}"; it has ${known}`);
}
