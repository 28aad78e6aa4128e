/**
 * Decides what becomes of a delivery. Cancels count before anything of the same delivery starts; an attempt that cannot
 * be taken is handed back at once, which uses up no attempt of its task.
 */

import { type Agent, DEFAULT_METHOD } from '../agent/define-agent.ts';
import { terminal } from '../agent/errors.ts';
import type { AgentRegistry } from '../agent/registry.ts';
import type { Assignment, Cancel } from '../message/bodies.ts';
import { heldName } from '../store/store.ts';
import type { TaskSpec } from '../task/task.ts';
import type { AttemptBook } from './attempt-book.ts';
import type { CreditMeter } from './credit-meter.ts';
import { type FinalReport, failed, returned } from './final-report.ts';
import { type Handler, HeldAttempt } from './held-attempt.ts';
import type { Delivery } from './mailbox-reader.ts';
import type { Slots } from './slots.ts';

export interface IntakePorts {
  agents: AgentRegistry;
  book: AttemptBook;
  slots: Slots;
  credit: CreditMeter;
  /** Local time, and the store's. */
  now: () => number;
  storeNow: () => number;
  draining: () => boolean;
  /** The attempt was accepted and waits. */
  accepted: (attempt: HeldAttempt) => void;
  /** It ends without having run. */
  ended: (attempt: HeldAttempt, report: FinalReport) => void;
  /** Its handler is to be told. */
  abort: (attempt: HeldAttempt, code: Cancel['code'], message: string) => void;
}

export class Intake {
  readonly #ports: IntakePorts;

  constructor(ports: IntakePorts) {
    this.#ports = ports;
  }

  receive(shard: number, { assignments, cancels }: Delivery): void {
    const cancelled = new Map(cancels.map((cancel) => [heldName(cancel.task, cancel.attemptId), cancel]));
    for (const [held, cancel] of cancelled) {
      const attempt = this.#ports.book.get(held);
      if (attempt) this.#cancel(attempt, cancel);
    }
    for (const assignment of assignments) this.#admit(shard, assignment, cancelled);
    if (assignments.length > 0) this.#ports.credit.arrived();
    this.#ports.slots.fill();
  }

  #cancel(attempt: HeldAttempt, cancel: Cancel): void {
    if (attempt.stage === 'running') this.#ports.abort(attempt, cancel.code, cancel.reason);
    if (attempt.stage === 'waiting' || attempt.stage === 'fetching') this.#drop(attempt, cancel);
  }

  /** A terminal report, which is refused, gets the attempt released. */
  #drop(attempt: HeldAttempt, { code, reason }: { code: string; reason: string }): void {
    const error = { ...terminal(code, reason), retryable: true };
    this.#ports.ended(attempt, failed(attempt, error, this.#ports.storeNow()));
  }

  #admit(shard: number, assignment: Assignment, cancelled: Map<string, Cancel>): void {
    const { book, now, storeNow, accepted, ended, slots } = this.#ports;
    if (book.knows(heldName(assignment.task, assignment.attemptId))) return;
    if (!this.#supersedes(assignment)) return;
    const handler = this.#handlerOf(assignment);
    const attempt = new HeldAttempt(shard, assignment, handler.ok ? handler.value : nobody(handler.agent), now());
    book.add(attempt);
    if (!handler.ok) return ended(attempt, handler.report(attempt));
    const cancel = cancelled.get(attempt.held);
    if (cancel) return this.#drop(attempt, cancel);
    const why = this.#whyNot(attempt);
    if (why) return ended(attempt, returned(attempt, why, storeNow()));
    slots.join(attempt);
    accepted(attempt);
  }

  /** False for an assignment that is older than what is held of its task. What is older than it, ends. */
  #supersedes({ task, fence }: Assignment): boolean {
    const held = this.#ports.book.ofTask(task);
    if (!held) return true;
    if (fence <= held.assignment.fence) return false;
    this.#cancel(held, { ...held.assignment, code: 'superseded', reason: 'the task was assigned anew' });
    return true;
  }

  #whyNot({ agent, needs }: HeldAttempt): string | null {
    const { draining, credit, slots } = this.#ports;
    if (draining()) return 'drain';
    if (!slots.resources.admits(needs)) return 'resources';
    return credit.admits(agent.name, slots.occupied) ? null : 'credit';
  }

  #handlerOf(
    assignment: Assignment,
  ): { ok: true; value: Handler } | { ok: false; agent: string; report: (of: HeldAttempt) => FinalReport } {
    const { agents, storeNow } = this.#ports;
    const spec = readSpec(assignment.spec);
    if (!spec) {
      const error = terminal('rejected', 'the specification in its assignment cannot be read');
      return { ok: false, agent: '', report: (attempt) => failed(attempt, error, storeNow()) };
    }
    const agent = agents.get(spec.agent);
    if (!agent)
      return { ok: false, agent: spec.agent, report: (attempt) => returned(attempt, 'unknown_agent', storeNow()) };
    const methodName = spec.method ?? DEFAULT_METHOD;
    const atMostOnce = spec.delivery === 'at-most-once';
    const needs = spec.require?.resources;
    return { ok: true, value: { agent, method: agent.methods.get(methodName), methodName, atMostOnce, needs } };
  }
}

/** Stands in an attempt that nobody here can run. */
function nobody(name: string): Handler {
  const agent: Agent = { name, version: '', description: '', methods: new Map(), exclusive: false };
  return { agent, method: undefined, methodName: '', atMostOnce: false };
}

type ReadSpec = Pick<TaskSpec, 'agent' | 'delivery' | 'require'> & { method?: string };

/** Sealed by a coordinator and checked by the distributor, so only its form is in question. */
function readSpec(text: string): ReadSpec | null {
  try {
    const spec = JSON.parse(text) as ReadSpec | null;
    return typeof spec?.agent === 'string' ? spec : null;
  } catch {
    return null;
  }
}
