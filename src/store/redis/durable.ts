/*
 * Commits that are answered only when they are on disk, or on replicas.
 *
 * Where the server syncs its file with every write, an answer says it already. Else it is asked: WAIT and WAITAOF wait
 * for what the asking connection has written. So these commits have a connection of their own, each is followed there by
 * a small write, which makes the question cover it also when the commit found that it had been applied before, and one
 * question at a time serves all commits answered until then. A connection that was replaced between commit and question
 * may lead to another server, which was never told of the commit: then the outcome is unknown, and the caller repeats.
 */
import type { Durability, DurabilityGap } from '../store.ts';
import type { Argument, Command, Commands } from './connect.ts';
import type { Script } from './scripts.ts';

/** What was found about a server is good for so long. */
const FACTS_MS = 1_000;
/** With a file that can be asked about. */
const WAITAOF_SINCE = [7, 2] as const;

export interface WaitSettings {
  replicas: number;
  timeoutMs: number;
}

export interface DurableOptions {
  /** Carries ordinary commands. */
  connection: Commands;
  /** A connection for these commits alone, made when there is a first one. */
  connect: () => Commands;
  wait: WaitSettings;
  now: () => number;
}

interface Facts {
  version: string;
  hasFile: boolean;
  /** null = it may not be looked at. */
  sync: string | null;
  replicas: number;
}

export class DurableCommits {
  readonly #options: DurableOptions;
  readonly #facts = new Map<string, { at: number; facts: Promise<Facts> }>();
  #own: Commands | null = null;

  constructor(options: DurableOptions) {
    this.#options = options;
  }

  close(): void {
    this.#own?.close();
  }

  /** Why the server that holds `tag` cannot do it; null = it should. */
  async whyNot(tag: string, level: Durability): Promise<DurabilityGap | null> {
    if (level === 'memory') return null;
    const facts = await this.#factsOf(tag);
    return level === 'local' ? this.#whyNotLocal(facts) : this.#whyNotReplicated(facts);
  }

  async run(
    script: Script,
    tag: string,
    args: readonly Argument[],
    level: 'local' | 'replicated',
  ): Promise<{ reply: unknown; reached: Durability }> {
    const { connection, wait } = this.#options;
    const facts = await this.#factsOf(tag);
    const base = syncsAlways(facts) ? 'local' : 'memory';
    const question = questionOf(level, facts, wait);
    if (question === null) return { reply: await connection.run(script, tag, args), reached: base };
    this.#own ??= this.#options.connect();
    const { reply, answer } = await this.#own.runAndAsk(script, tag, args, question);
    return { reply, reached: isYes(answer, level, wait) ? level : base };
  }

  #whyNotLocal({ version, hasFile, sync }: Facts): DurabilityGap | null {
    const { address } = this.#options.connection;
    const advice = 'run CONFIG SET appendonly yes and CONFIG SET appendfsync always, and put both into redis.conf';
    if (!hasFile) return { why: `Redis at ${address} has no append-only file: ${advice}`, lasting: true };
    if (sync === 'always' || canBeAsked(version)) return null;
    const found = sync === null ? 'does not let this user see appendfsync' : `syncs its file with appendfsync ${sync}`;
    return {
      why: `Redis ${version} at ${address} ${found}, and only from ${WAITAOF_SINCE.join('.')} on can it be asked to: ${advice}`,
      lasting: true,
    };
  }

  #whyNotReplicated({ replicas }: Facts): DurabilityGap | null {
    const { connection, wait } = this.#options;
    if (replicas >= wait.replicas) return null;
    const why = `Redis at ${connection.address} has ${replicas} replicas that keep up, wanted ${wait.replicas} (REDIS_WAIT_REPLICAS)`;
    return { why: `${why}: add a replica, or wait for it`, lasting: false };
  }

  #factsOf(tag: string): Promise<Facts> {
    const now = this.#options.now();
    const known = this.#facts.get(tag);
    if (known && Math.abs(now - known.at) < FACTS_MS) return known.facts;
    const facts = readFacts(this.#options.connection, tag);
    this.#facts.set(tag, { at: now, facts });
    facts.catch(() => this.#facts.delete(tag));
    return facts;
  }
}

/** Null: there is nothing to ask, because it goes without saying or cannot be had. */
function questionOf(
  level: 'local' | 'replicated',
  facts: Facts,
  { replicas, timeoutMs }: WaitSettings,
): Command | null {
  if (level === 'replicated') return ['wait', replicas, timeoutMs];
  const asks = facts.hasFile && !syncsAlways(facts) && canBeAsked(facts.version);
  return asks ? ['waitaof', 1, 0, timeoutMs] : null;
}

/** WAIT answers how many replicas have it, WAITAOF whether the server's file and how many of the replicas' have. */
function isYes(answer: unknown, level: 'local' | 'replicated', { replicas }: WaitSettings): boolean {
  if (level === 'replicated') return Number(answer) >= replicas;
  return Number((answer as unknown[])[0]) >= 1;
}

function syncsAlways({ hasFile, sync }: Facts): boolean {
  return hasFile && sync === 'always';
}

function canBeAsked(version: string): boolean {
  const [major = 0, minor = 0] = version.split('.').map(Number);
  return major > WAITAOF_SINCE[0] || (major === WAITAOF_SINCE[0] && minor >= WAITAOF_SINCE[1]);
}

async function readFacts(connection: Commands, tag: string): Promise<Facts> {
  const info = String(await connection.call('info', [], tag));
  const setting = await connection.call('config', ['get', 'appendfsync'], tag).catch(() => null);
  const fieldOf = (name: string) => new RegExp(`^${name}:(.*?)\\r?$`, 'm').exec(info)?.[1] ?? '';
  return {
    version: fieldOf('redis_version'),
    hasFile: fieldOf('aof_enabled') === '1' && fieldOf('aof_last_write_status') !== 'err',
    sync: Array.isArray(setting) ? String(setting[1]) : null,
    replicas: (info.match(/^slave\d+:.*state=online/gm) ?? []).length,
  };
}
