import type { Runtime } from '../runtime/runtime.ts';
import { type AbortCode, AttemptAborted } from './errors.ts';

export const NOTE_LENGTH_MAX = 500;
/**
 * The world, for the agents of this package only: a handler that people write uses its own timers. Registered, as `FACTS`
 * is, so that an `httpAgent` made by another copy of this package finds it.
 */
export const RUNTIME = Symbol.for('agent-system.runtime');
/** What else is known of the attempt, for agents that hand it on. */
export const FACTS = Symbol.for('agent-system.facts');

/** What a handler gets beside its input. Every member may be taken out of the object and used alone. */
export interface AgentContext {
  readonly taskId: string;
  /** Which attempt of the task this is, from 1. */
  readonly attempt: number;
  /** Aborts when the attempt should end; `signal.reason.code` is `cancelled`, `timeout`, `lease_lost` or `shutdown`. */
  readonly signal: AbortSignal;
  readonly log: AgentLog;
  /** How far it has come, from 0 to 1. Call it as often as you like: only the latest is sent, a few times a second. */
  readonly progress: (value: number, note?: string) => void;
  /** Adds to what the attempt has used so far. */
  readonly usage: (more: AttemptUsage) => void;
}

export interface AgentLog {
  debug(message: string, fields?: Record<string, unknown>): void;
  info(message: string, fields?: Record<string, unknown>): void;
  warn(message: string, fields?: Record<string, unknown>): void;
  error(message: string, fields?: Record<string, unknown>): void;
}

export type LogLevel = keyof AgentLog;

export interface AttemptUsage {
  inputTokens?: number;
  outputTokens?: number;
  toolIterations?: number;
}

const USAGE_FIELDS = ['inputTokens', 'outputTokens', 'toolIterations'] as const;

export interface AttemptFacts {
  tenant?: string;
  session?: string;
  /** Local time in milliseconds at which the attempt is told to end. */
  deadlineAt?: number;
}

/** Where a context's calls go. */
export interface ContextPorts {
  readonly runtime: Runtime;
  readonly facts?: () => AttemptFacts;
  readonly log: (level: LogLevel, message: string, fields: Record<string, unknown> | undefined) => void;
  readonly progress: (value: number, note: string | undefined) => void;
}

/** The context of one attempt, with the worker's side of it: `abort`, `used`, `close`. */
export class AttemptContext implements AgentContext {
  readonly taskId: string;
  readonly attempt: number;
  readonly [RUNTIME]: Runtime;
  readonly #ports: ContextPorts;
  // An AbortController costs more than a no-op handler, so it is made when somebody looks at the signal.
  #controller: AbortController | undefined;
  #reason: AttemptAborted | undefined;
  #log: AgentLog | undefined;
  #used: AttemptUsage | undefined;
  #closed = false;

  constructor(taskId: string, attempt: number, ports: ContextPorts) {
    this.taskId = taskId;
    this.attempt = attempt;
    this.#ports = ports;
    this[RUNTIME] = ports.runtime;
  }

  get [FACTS](): AttemptFacts {
    return this.#ports.facts?.() ?? {};
  }

  get signal(): AbortSignal {
    if (!this.#controller) {
      this.#controller = new AbortController();
      if (this.#reason) this.#controller.abort(this.#reason);
    }
    return this.#controller.signal;
  }

  get log(): AgentLog {
    this.#log ??= logTo(this.#ports.log);
    return this.#log;
  }

  readonly progress = (value: number, note?: string): void => {
    if (typeof value !== 'number' || Number.isNaN(value)) {
      throw new TypeError(`ctx.progress wants a number from 0 to 1; found ${String(value)}`);
    }
    if (this.#closed) return;
    this.#ports.progress(Math.min(1, Math.max(0, value)), note === undefined ? undefined : clipped(note));
  };

  readonly usage = (more: AttemptUsage): void => {
    const used: AttemptUsage = { ...this.#used };
    for (const field of USAGE_FIELDS) {
      const value = more[field];
      if (value === undefined) continue;
      if (!Number.isSafeInteger(value) || value < 0) {
        throw new TypeError(`ctx.usage wants ${field} as a whole number, 0 or more; found ${String(value)}`);
      }
      used[field] = (used[field] ?? 0) + value;
    }
    this.#used = used;
  };

  get used(): AttemptUsage | undefined {
    return this.#used;
  }

  /** The first reason stays: later ones find the handler already told to end. */
  abort(code: AbortCode, message: string): void {
    if (this.#reason) return;
    this.#reason = new AttemptAborted(code, message);
    this.#controller?.abort(this.#reason);
  }

  get aborted(): AbortCode | undefined {
    return this.#reason?.code;
  }

  /** From now on the handler's calls have no effect: its report has gone out. */
  close(): void {
    this.#closed = true;
  }
}

function logTo(port: ContextPorts['log']): AgentLog {
  return {
    debug: (message, fields) => port('debug', message, fields),
    info: (message, fields) => port('info', message, fields),
    warn: (message, fields) => port('warn', message, fields),
    error: (message, fields) => port('error', message, fields),
  };
}

function clipped(note: string): string {
  const text = String(note);
  return text.length > NOTE_LENGTH_MAX ? `${text.slice(0, NOTE_LENGTH_MAX - 1)}…` : text;
}
