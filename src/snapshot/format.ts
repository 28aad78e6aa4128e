/*
 * What a snapshot looks like: one JSON value per line. The first line is its header and the last its end; between them
 * stand what the roles were doing (for people), the agents, and shard by shard what is durable: paused queues, schedules,
 * tasks, keys of submits, and the shard's cut. Texts of a task are the stored ones to the last character, so that its seal
 * still fits.
 *
 * Two checks stand in the end line. `sha256` is of the bytes before it: any change shows. `digest` is of the state alone,
 * whatever the order of lines: of each task what restoring makes of it, of schedules and paused queues; not of leases,
 * times of the snapshot, seals (renewed when a key is) or who ran what. So a store that was restored has the digest of
 * the snapshot it came from. The signature covers the whole end line, and with it everything.
 */
import { createHash, type Hash, hash } from 'node:crypto';
import { z } from 'zod';
import type { KeyRing } from '../message/keys.ts';
import { macMatches, macOf } from '../message/signature.ts';
import { SHARDS_MAX } from '../task/id.ts';
import { TASK_STATES } from '../task/task.ts';

export const SNAPSHOT_FORMAT = 1;
/** No line is longer: twice the largest payloads anybody has configured so far, escaped. */
export const LINE_BYTES_MAX = 128 * 1024 * 1024;

const text = z.string();
const shard = z
  .int()
  .min(0)
  .max(SHARDS_MAX - 1);
const count = z.int().min(0);
const facts = z.record(text, z.unknown());

const header = z.object({
  type: z.literal('snapshot'),
  format: z.literal(SNAPSHOT_FORMAT),
  /** Of the store. */
  schema: count,
  deployment: text,
  shards: z.int().min(1).max(SHARDS_MAX),
  takenAt: z.iso.datetime(),
  /** Of the program. */
  version: text,
  /** Generation of the key that signs the end. */
  key: text,
});
const task = z.object({
  type: z.literal('task'),
  shard,
  id: text.length(25),
  version: z.int().min(1),
  state: z.enum(TASK_STATES),
  seal: text,
  spec: text,
  input: text,
  trail: text,
  result: text.optional(),
});
const unique = z.object({ type: z.literal('unique'), shard, key: text, id: text, digest: text, ttlMs: count });
const schedule = z.object({ type: z.literal('schedule'), shard, key: text, text });
const paused = z.object({ type: z.literal('paused'), shard, agent: text });
/** Where in its event stream the shard was cut: everything before it is in the snapshot, nothing behind it. */
const cut = z.object({ type: z.literal('cut'), shard, event: text, tasks: count, unreadable: count });
const agent = z.object({ type: z.literal('agent'), name: text, card: text });
const state = z.object({
  type: z.enum(['coordinator_state', 'distributor_state', 'worker_state']),
  id: text,
  ...{ incarnation: text, host: text, pid: count, version: text, startedAt: text, facts },
  owns: z.array(z.object({ shard, epoch: text })).optional(),
  holds: z.array(z.object({ shard, attempts: z.array(text) })).optional(),
});
const end = z.object({
  type: z.literal('end'),
  /** Lines of each type before this one. */
  counts: z.record(text, count),
  digest: text,
  sha256: text,
  key: text,
  signature: text,
});

export const lineSchema = z.discriminatedUnion('type', [
  ...[header, task, unique, schedule, paused, cut, agent, state, end],
] as const);

export type SnapshotLine = z.output<typeof lineSchema>;
export type SnapshotHeader = z.output<typeof header>;
export type TaskLine = z.output<typeof task>;
export type CutLine = z.output<typeof cut>;
export type StateLine = z.output<typeof state>;
export type EndLine = z.output<typeof end>;
/** Any line but the last, which only the seal can make. */
export type ContentLine = Exclude<SnapshotLine, EndLine>;

/** Counts and sums up what a snapshot holds, the same for whoever writes and whoever reads it. */
export class SnapshotSeal {
  readonly #bytes: Hash = createHash('sha256');
  readonly #counts: Record<string, number> = {};
  readonly #paused = new Set<string>();
  #sum = 0n;

  /** @param stateHash of a task line: what `hashOfTask` says of the task that restoring makes of it */
  add(line: ContentLine, bytes: string | Uint8Array, stateHash?: string): void {
    this.#addText(line.type, bytes);
    if (line.type === 'schedule') this.#addState(hashOf(['schedule', line.key, line.text]));
    if (line.type === 'paused' && !this.#paused.has(line.agent)) {
      this.#paused.add(line.agent);
      this.#addState(hashOf(['paused', line.agent]));
    }
    if (stateHash !== undefined) this.#addState(stateHash);
  }

  /** A task's line that need not be parsed for it. */
  addTask(bytes: string, stateHash: string): void {
    this.#addText('task', bytes);
    this.#addState(stateHash);
  }

  #addText(type: string, bytes: string | Uint8Array): void {
    this.#counts[type] = (this.#counts[type] ?? 0) + 1;
    this.#bytes.update(bytes).update('\n');
  }

  get counts(): Readonly<Record<string, number>> {
    return this.#counts;
  }

  get digest(): string {
    return this.#sum.toString(16).padStart(64, '0');
  }

  get sha256(): string {
    return this.#bytes.copy().digest('hex');
  }

  /** @param generation that signs, as the header has named it */
  end(keys: KeyRing, generation: string): EndLine {
    const key = keys.verifyingKey(generation, 'snapshot') ?? keys.signingKey('snapshot');
    const unsigned = { type: 'end', counts: { ...this.#counts }, digest: this.digest, sha256: this.sha256 } as const;
    const named = { ...unsigned, key: key.generation };
    return { ...named, signature: macOf(key.secret, JSON.stringify(named)) };
  }

  /** A sum, so that the order does not count; equal states can only be hidden by somebody who holds the key anyway. */
  #addState(hex: string): void {
    this.#sum = BigInt.asUintN(256, this.#sum + BigInt(`0x${hex}`));
  }
}

/** Whether the end line was signed by one of these keys: `unknown` = of a generation that is not among them. */
export function checkSignature({ signature, ...line }: EndLine, keys: KeyRing): 'ok' | 'wrong' | 'unknown' {
  const key = keys.verifyingKey(line.key, 'snapshot');
  if (key === undefined) return 'unknown';
  const { type, counts, digest, sha256 } = line;
  const named = JSON.stringify({ type, counts, digest, sha256, key: line.key });
  return macMatches(key.secret, named, signature) ? 'ok' : 'wrong';
}

export interface TaskState256 {
  id: string;
  version: number;
  state: string;
  /** Without the seal. */
  spec: string;
  input: string;
  trail: string;
  result?: string | undefined;
}

/** SHA-256 in hex. */
export function hashOfTask({ id, version, state: now, spec, input, trail, result }: TaskState256): string {
  return hashOf(['task', id, version, now, spec, input, trail, result ?? null]);
}

function hashOf(value: unknown): string {
  return hash('sha256', JSON.stringify(value), 'hex');
}
