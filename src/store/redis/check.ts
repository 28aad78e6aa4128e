/*
 * What is looked at before a Redis is trusted with tasks. A wrong eviction policy loses tasks while every write is
 * answered OK, a replica or an old server fails later in stranger ways; so these refuse the start, each with what was
 * found, what is wanted and how to get there. What only weakens durability is a warning.
 */
import { StoreUnavailableError } from '../../errors.ts';
import type { StoreCheck } from '../store.ts';
import type { Connection } from './connect.ts';

const VERSION_MIN = [7, 0] as const;

export interface CheckOptions {
  /** Refuses a server without an append-only file. */
  requireAof: boolean;
  /** Why it is accepted that this Redis may lose tasks; null = it is not. */
  allowUnsafe: string | null;
  /** A key in which a write is tried. */
  probe: string;
}

interface Facts {
  info: Map<string, string>;
  config: Map<string, string>;
  unseen: string[];
  writeError: string | null;
  /** Why the database cannot be used. The client goes on with database 0 when it cannot select another. */
  selectError: string | null;
}

export async function checkRedis(connection: Connection, options: CheckOptions): Promise<StoreCheck> {
  const facts = await factsOf(connection, options.probe);
  const problems = [...problemsOf(facts), ...aofProblems(facts, options.requireAof)];
  if (facts.selectError)
    problems.push(
      `Redis has no database ${connection.database} (${facts.selectError}), wanted one that exists: set REDIS_DB, or the number at the end of REDIS_URL, to 0, or raise "databases" in redis.conf.`,
    );
  const warnings = warningsOf(facts);
  const version = facts.info.get('redis_version') ?? 'of unknown version';
  const description = `Redis ${version} at ${connection.address}, database ${connection.database}`;
  const durability = isLocal(facts) ? 'local' : 'memory';
  if (options.allowUnsafe === null || problems.length === 0) return { problems, warnings, durability, description };
  const accepted = problems.map(
    (problem) => `Accepted because ALLOW_UNSAFE_REDIS says "${options.allowUnsafe}": ${problem}`,
  );
  return { problems: [], warnings: [...accepted, ...warnings], durability, description };
}

function problemsOf({ info, config, writeError }: Facts): string[] {
  const problems: string[] = [];
  const version = info.get('redis_version');
  if (version && !isRecent(version))
    problems.push(
      `Redis is version ${version}, wanted 7.0 or newer: its scripts need flags and stream options of 7.0. Upgrade the server.`,
    );
  const role = info.get('role');
  if (role && role !== 'master')
    problems.push(
      `Redis has the role ${role}, wanted master: a replica refuses writes. Connect to its master (${info.get('master_host') ?? 'unknown'}:${info.get('master_port') ?? '?'}).`,
    );
  if (info.get('redis_mode') === 'cluster')
    problems.push(
      'Redis runs in cluster mode, wanted a single server: set REDIS_URL to a server that is not part of a cluster.',
    );
  const policy = config.get('maxmemory-policy') ?? info.get('maxmemory_policy');
  if (policy && policy !== 'noeviction')
    problems.push(
      `Redis has maxmemory-policy ${policy}, wanted noeviction: under memory pressure it would delete tasks. Run CONFIG SET maxmemory-policy noeviction and put it into redis.conf.`,
    );
  // A replica refuses writes by its nature; saying it twice helps nobody.
  if (writeError && role !== 'slave')
    problems.push(
      `Redis refused a write (${writeError}), wanted a writable server: check its disk, its persistence errors and the user's permissions.`,
    );
  return problems;
}

function aofProblems({ info }: Facts, required: boolean): string[] {
  if (!required || info.get('aof_enabled') !== '0') return [];
  return [
    'Redis has no append-only file, wanted one because REDIS_REQUIRE_AOF is set. Run CONFIG SET appendonly yes and put it into redis.conf.',
  ];
}

function warningsOf(facts: Facts): string[] {
  const { info, unseen } = facts;
  const warnings: string[] = [];
  if (info.get('aof_enabled') === '0')
    warnings.push(
      'Redis has no append-only file: a crash loses tasks up to its last snapshot. Run CONFIG SET appendonly yes and put it into redis.conf.',
    );
  else if (info.get('aof_last_write_status') === 'err')
    warnings.push('Redis could not write its append-only file: check the disk of the server.');
  if (unseen.length > 0)
    warnings.push(
      `Redis does not let this user look at its configuration, so these were not checked: ${unseen.join(', ')}. Allow CONFIG|GET or check them by hand.`,
    );
  return warnings;
}

/** On disk before the answer: the file is synced with every write. */
function isLocal({ info, config }: Facts): boolean {
  return info.get('aof_enabled') === '1' && config.get('appendfsync') === 'always';
}

function isRecent(version: string): boolean {
  const [major = 0, minor = 0] = version.split('.').map(Number);
  return major > VERSION_MIN[0] || (major === VERSION_MIN[0] && minor >= VERSION_MIN[1]);
}

async function factsOf(connection: Connection, probe: string): Promise<Facts> {
  const info = parseInfo(await connection.call('info', []));
  const config = new Map<string, string>();
  const unseen: string[] = [];
  for (const name of ['maxmemory-policy', 'appendfsync']) {
    const value = await unlessRefused(connection.call('config', ['get', name]));
    if (Array.isArray(value) && typeof value[1] === 'string') config.set(name, value[1]);
    else if (name !== 'maxmemory-policy' || !info.has('maxmemory_policy')) unseen.push(name);
  }
  const selectError = await refusalOf(connection.call('select', [connection.database]));
  return { info, config, unseen, writeError: await tryWrite(connection, probe), selectError };
}

/** A full server is not an unwritable one: it still lets work drain. */
async function tryWrite(connection: Connection, probe: string): Promise<string | null> {
  const script = "#!lua flags=allow-oom\nreturn redis.call('SET', KEYS[1], '1', 'PX', 1000)";
  try {
    await connection.call('eval', [script, 1, probe]);
    return null;
  } catch (error) {
    if (error instanceof StoreUnavailableError && !connection.connected) throw error;
    return reasonOf(error);
  }
}

async function refusalOf(call: Promise<unknown>): Promise<string | null> {
  try {
    await call;
    return null;
  } catch (error) {
    if (error instanceof StoreUnavailableError) throw error;
    return reasonOf(error);
  }
}

/** What the server itself said. */
function reasonOf(error: unknown): string {
  const { cause, message } = error as Error;
  return cause instanceof Error ? cause.message : message;
}

async function unlessRefused(call: Promise<unknown>): Promise<unknown> {
  try {
    return await call;
  } catch (error) {
    if (error instanceof StoreUnavailableError) throw error;
    // Hosted servers forbid or rename CONFIG; what it would have told is listed as unseen.
    return null;
  }
}

function parseInfo(text: unknown): Map<string, string> {
  const facts = new Map<string, string>();
  for (const line of String(text).split('\r\n')) {
    const gap = line.indexOf(':');
    if (gap > 0 && !line.startsWith('#')) facts.set(line.slice(0, gap), line.slice(gap + 1));
  }
  return facts;
}
