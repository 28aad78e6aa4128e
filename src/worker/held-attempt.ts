import type { AttemptContext } from '../agent/context.ts';
import type { Agent, AgentMethod } from '../agent/define-agent.ts';
import type { Assignment } from '../message/bodies.ts';
import type { Amounts } from '../scheduling/requirements.ts';
import { heldName } from '../store/store.ts';

/**
 * One attempt from its assignment until its release: `arrived`, `waiting` for a slot, `fetching` a large input in it,
 * `running`, `ended` and reported.
 */
export class HeldAttempt {
  readonly shard: number;
  /** `task~attempt`, its name in heartbeats and releases. */
  readonly held: string;
  readonly assignment: Assignment;
  readonly agent: Agent;
  /** Undefined when the agent here has no such method. */
  readonly method: AgentMethod | undefined;
  readonly methodName: string;
  readonly atMostOnce: boolean;
  /** Resources it takes while it is held here. */
  readonly needs: Amounts | undefined;
  /** Local times in milliseconds. */
  readonly arrivedAt: number;
  startedAt = 0;
  deadlineAt = Number.POSITIVE_INFINITY;
  /** Its deadline is the end of the task's total time, not of this run's. */
  endsWithTask = false;
  /** The store's time of the start, as reports give it. */
  startedAtStore = 0;
  stage: 'arrived' | 'waiting' | 'fetching' | 'running' | 'ended' = 'arrived';
  /** Sequence of its last report. */
  seq = 0;
  /** Local time of its last progress report. */
  progressAt = Number.NEGATIVE_INFINITY;
  context: AttemptContext | undefined;

  constructor(shard: number, assignment: Assignment, handler: Handler, arrivedAt: number) {
    this.shard = shard;
    this.held = heldName(assignment.task, assignment.attemptId);
    this.assignment = assignment;
    this.agent = handler.agent;
    this.method = handler.method;
    this.methodName = handler.methodName;
    this.atMostOnce = handler.atMostOnce;
    this.needs = handler.needs;
    this.arrivedAt = arrivedAt;
  }
}

/** Who is to run an assignment, as read from its specification. */
export interface Handler {
  agent: Agent;
  method: AgentMethod | undefined;
  methodName: string;
  atMostOnce: boolean;
  needs?: Amounts | undefined;
}
