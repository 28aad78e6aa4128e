/**
 * What the messages say. Specifications, inputs and results travel as JSON text that nobody on the way parses.
 * Fields that a schema does not know are dropped, not refused, so that neighbouring versions can talk during an upgrade.
 * All times are the store's, in milliseconds. zod compiles these: 200 assignments or reports cost about 25 µs.
 */
import { z } from 'zod';

/** Assignments, cancels or reports in one envelope: as many as one commit takes. */
export const ENTRIES_PER_ENVELOPE_MAX = 1000;
/** Attempts in one list of a heartbeat; credit ends far below it. */
export const ATTEMPTS_PER_HEARTBEAT_MAX = 10_000;
const NAMES_PER_HEARTBEAT_MAX = 1000;

const name = z.string().min(1).max(256);
const count = z.int().nonnegative();
const time = z.number().nonnegative();

const assignment = z.object({
  task: name,
  attemptId: name,
  fence: count,
  /** Which attempt of the task this is, from 1. */
  attempt: z.int().positive(),
  /** How long the attempt may run; null = the deployment's default. */
  timeoutMs: z.number().positive().nullable(),
  /** The task's specification, as sealed by the coordinator that accepted it. */
  spec: z.string(),
  seal: z.string(),
  /** JSON text, or the reference to it: see `task/payload.ts`. */
  input: z.string(),
  distributor: z.string().optional(),
  /** The task's own end, whatever the attempt does. */
  deadline: time.optional(),
});

const cancel = z.object({
  task: name,
  attemptId: name,
  reason: z.string(),
  code: z.enum(['cancelled', 'superseded', 'timeout']),
});

const usage = z.object({
  inputTokens: count.optional(),
  outputTokens: count.optional(),
  toolIterations: count.optional(),
});

const ofAttempt = {
  task: name,
  attemptId: name,
  fence: count,
  /** Grows by one with each report of the attempt; the record keeps the last, so an old report changes nothing. */
  seq: count,
  at: time,
};

const attemptError = z.object({
  code: z.string(),
  message: z.string(),
  retryable: z.boolean(),
  retryAfterMs: z.number().nonnegative().optional(),
});

const report = z.discriminatedUnion('kind', [
  z.object({ kind: z.literal('started'), ...ofAttempt }),
  z.object({
    kind: z.literal('progress'),
    ...ofAttempt,
    progress: z.number().min(0).max(1),
    note: z.string().optional(),
    usage: usage.optional(),
  }),
  z.object({
    kind: z.literal('completed'),
    ...ofAttempt,
    /** JSON text, or the reference to what its worker keeps in the store. */
    result: z.string(),
    startedAt: time,
    usage: usage.optional(),
  }),
  z.object({
    kind: z.literal('failed'),
    ...ofAttempt,
    /** Absent when the attempt failed before its handler ran. */
    startedAt: time.optional(),
    error: attemptError,
    usage: usage.optional(),
  }),
  /** Handed back unrun; uses up no attempt. `why` is `drain`, `credit`, `resources`, `not_ready`, `unknown_agent`, … */
  z.object({ kind: z.literal('returned'), ...ofAttempt, why: z.string() }),
]);

/** Each is `taskId~attemptId`. */
const attempts = z.array(name).max(ATTEMPTS_PER_HEARTBEAT_MAX);

export const assignBody = z.object({ assignments: z.array(assignment).max(ENTRIES_PER_ENVELOPE_MAX) });
export const cancelBody = z.object({ cancels: z.array(cancel).max(ENTRIES_PER_ENVELOPE_MAX) });
export const drainBody = z.object({ reason: z.string().max(1_000) });
/** A task that somebody sent to a worker or a distributor, which serve none themselves. */
export const submitBody = z.object({
  /** The id it is to have, which its sender has been told already. */
  task: name,
  agent: name,
  method: name.optional(),
  /** JSON text. */
  input: z.string(),
  correlationId: name.optional(),
  /** Who sent the message, by its own word, and what kind it was. */
  sender: name,
  messageType: name,
});
export const reportBody = z.object({
  /** Of the worker that sends it: its `released` list is told apart by it. */
  incarnation: name,
  reports: z.array(report).max(ENTRIES_PER_ENVELOPE_MAX),
});
export const heartbeatBody = z.object({
  worker: name,
  incarnation: name,
  /** The distributor it takes work from; null while it looks for one. */
  distributor: name.nullable(),
  /** Keep my attempts. */
  alive: z.boolean(),
  /** Give me work. */
  ready: z.boolean(),
  draining: z.boolean(),
  slots: count,
  /** Attempts it takes beyond its slots … */
  extra: count,
  /** … and only of these agents, the quick ones. */
  quick: z.array(name).max(NAMES_PER_HEARTBEAT_MAX),
  agents: z.array(z.object({ name, version: z.string().optional() })).max(NAMES_PER_HEARTBEAT_MAX),
  /** Received, waiting for a slot. */
  unstarted: attempts,
  started: attempts,
  /** Ended here, reported, not yet released by the owner. */
  done: attempts,
  /** Id of the last mailbox entry it has read. */
  mailbox: z.string(),
  resources: z.record(z.string(), z.number()).optional(),
  /** Of its resources, what the attempts that it holds take, on all shards together. */
  used: z.record(z.string(), z.number()).optional(),
  labels: z.record(z.string(), z.string()).optional(),
  load: z
    .object({ cpu: z.number().optional(), memory: z.number().optional(), eventLoopMs: z.number().optional() })
    .optional(),
});

export type SubmitBody = z.infer<typeof submitBody>;
export type ReportBody = z.infer<typeof reportBody>;
export type HeartbeatBody = z.infer<typeof heartbeatBody>;
export type Assignment = z.infer<typeof assignment>;
export type Cancel = z.infer<typeof cancel>;
export type Report = z.infer<typeof report>;
export type Usage = z.infer<typeof usage>;
export type AttemptError = z.infer<typeof attemptError>;
