/*
 * What is looked at before a Redis is trusted with tasks. A wrong eviction policy loses tasks while every write is
 * answered OK, a replica or an old server fails later in stranger ways; so these refuse the start, each with what was
 * found, what is wanted and how to get there. What only weakens durability is a warning.
 */
import { createSecureContext } from 'node:tls';
import { AgentSystemError, StoreUnavailableError } from '../../errors.ts';
import type { StoreCheck } from '../store.ts';
import { endpointOf, type RedisAddress } from './address.ts';
import { ClusterConnection, SLOTS } from './cluster.ts';
import type { Commands, Connection } from './connect.ts';
import { adviceFor, hiddenFault, lastingFault } from './faults.ts';

const VERSION_MIN = [7, 0] as const;
const SETTINGS = ['maxmemory-policy', 'appendfsync'] as const;
/** Looked at only where another server may take over. */
const REPLICA_SETTINGS = ['min-replicas-to-write', 'cluster-require-full-coverage'] as const;

export interface CheckOptions {
  address: RedisAddress;
  /** Refuses a server without an append-only file. */
  requireAof: boolean;
  /** Why it is accepted that this Redis may lose tasks; null = it is not. */
  allowUnsafe: string | null;
  /** The beginnings of the keys of each shard; a write is tried in the first one, in a cluster in all. */
  tags: readonly string[];
}

interface Facts {
  /** How sentences name it: in a cluster with its address. */
  who: string;
  info: Map<string, string>;
  config: Map<string, string>;
  unseen: string[];
  writeError: string | null;
  /** Why the database cannot be used. The client goes on with database 0 when it cannot select another. */
  selectError: string | null;
}

/**
 * @throws StoreUnavailableError while waiting may help
 * @throws AgentSystemError `STORE_FORBIDDEN` or `STORE_MISCONFIGURED` when it cannot
 */
export async function checkRedis(connection: Commands, options: CheckOptions): Promise<StoreCheck> {
  checkPemFiles(options.address);
  try {
    const found = connection instanceof ClusterConnection ? await checkCluster(connection, options) : null;
    return unlessAccepted(found ?? (await checkServer(connection, options)), options.allowUnsafe);
  } catch (error) {
    throw lastingFault(error) ?? (await hiddenFault(error, options.address)) ?? error;
  }
}

function unlessAccepted(found: StoreCheck, allowUnsafe: string | null): StoreCheck {
  if (allowUnsafe === null || found.problems.length === 0) return found;
  const accepted = found.problems.map(
    (problem) => `Accepted because ALLOW_UNSAFE_REDIS says "${allowUnsafe}": ${problem}`,
  );
  return { ...found, problems: [], warnings: [...accepted, ...found.warnings] };
}

/** One server, also the master that sentinels named. */
async function checkServer(connection: Commands, options: CheckOptions): Promise<StoreCheck> {
  const [server] = (await connection.servers()) as [Connection];
  const mayChange = Boolean(options.address.sentinel);
  const facts = await factsOf(server, 'Redis', mayChange);
  facts.selectError = await refusalOf(server.call('select', [server.database]));
  facts.writeError = await tryWrite(server, `${options.tags[0]}probe`, mayChange);
  const problems = [...problemsOf(facts), ...modeProblems(facts, 'standalone'), ...aofProblems(facts, options)];
  if (facts.selectError)
    problems.push(
      `Redis has no database ${server.database} (${facts.selectError}), wanted one that exists: set REDIS_DB, or the number at the end of REDIS_URL, to 0, or raise "databases" in redis.conf.`,
    );
  const description = `Redis ${versionOf(facts)} at ${server.address}, database ${server.database}`;
  return { problems, warnings: warningsOf(facts), durability: isLocal(facts) ? 'local' : 'memory', description };
}

/** Every master. One that is away is told as a warning as long as others are there, for their shards go on. */
async function checkCluster(cluster: ClusterConnection, options: CheckOptions): Promise<StoreCheck> {
  const { covered } = await cluster.slots().catch(noClusterThere(cluster));
  const servers = await cluster.servers();
  const looked = await Promise.allSettled(servers.map((server) => factsOf(server, `Redis at ${server.address}`, true)));
  const away = looked.flatMap((one) => (one.status === 'rejected' ? [one.reason as Error] : []));
  const fault = away.find((error) => !(error instanceof StoreUnavailableError) || lastingFault(error));
  const found = looked.flatMap((one) => (one.status === 'fulfilled' ? [one.value] : []));
  if (fault || found.length === 0) throw fault ?? away[0]!;
  const problems = found.flatMap((facts) => [
    ...problemsOf(facts),
    ...modeProblems(facts, 'cluster'),
    ...aofProblems(facts, options),
  ]);
  if (covered < SLOTS)
    problems.push(
      `The cluster serves ${covered} of ${SLOTS} slots, wanted all: look with "redis-cli --cluster check" and mend it with "--cluster fix".`,
    );
  if (problems.length === 0) problems.push(...(await unwritableShards(cluster, options.tags, away.length > 0)));
  const warnings = [...away.map(awayWarning), ...found.flatMap(warningsOf)];
  const versions = [...new Set(found.map(versionOf))].join(', ');
  const description = `Redis Cluster ${versions} of ${servers.length} masters: ${servers.map((one) => one.address).join(', ')}`;
  const durability = away.length === 0 && found.every(isLocal) ? 'local' : 'memory';
  return { problems, warnings, durability, description };
}

function noClusterThere(cluster: ClusterConnection) {
  return (error: unknown): never => {
    if (!/cluster support disabled/.test(reasonOf(error))) throw error;
    const text = `${cluster.address}: Redis there is no node of a cluster, wanted one: set REDIS_URL instead of REDIS_CLUSTER_NODES, or name nodes of a cluster`;
    throw new AgentSystemError('STORE_MISCONFIGURED', text, { cause: error });
  };
}

function awayWarning(error: Error): string {
  return `${error.message}; the shards on this node stand still until it or a replica of it is there`;
}

async function unwritableShards(cluster: ClusterConnection, tags: readonly string[], someAway: boolean) {
  const errors = await Promise.all(
    tags.map((tag) =>
      tryWrite(cluster, `${tag}probe`, true).catch((error: unknown) => {
        if (someAway && error instanceof StoreUnavailableError) return null;
        throw error;
      }),
    ),
  );
  return [...new Set(errors.filter((error) => error !== null))].map(
    (error) => `Redis refused a write (${error}), wanted writable nodes: check their disks and the user's permissions.`,
  );
}

/** Files that do not belong together are not sent anywhere; without this, they would look like a server that is away. */
function checkPemFiles(address: RedisAddress): void {
  const { tls } = endpointOf(address);
  if (!tls) return;
  try {
    createSecureContext(tls);
  } catch (error) {
    const text = `TLS to Redis cannot be prepared (${(error as Error).message}); ${adviceFor(error) ?? PEM_ADVICE}`;
    throw new AgentSystemError('STORE_MISCONFIGURED', text, { cause: error });
  }
}

const PEM_ADVICE = 'check REDIS_CA_FILE, REDIS_CERT_FILE and REDIS_KEY_FILE';

function problemsOf({ who, info, config, writeError }: Facts): string[] {
  const problems: string[] = [];
  const version = info.get('redis_version');
  if (version && !isRecent(version))
    problems.push(
      `${who} is version ${version}, wanted 7.0 or newer: its scripts need flags and stream options of 7.0. Upgrade the server.`,
    );
  const role = info.get('role');
  if (role && role !== 'master')
    problems.push(
      `${who} has the role ${role}, wanted master: a replica refuses writes. Connect to its master (${info.get('master_host') ?? 'unknown'}:${info.get('master_port') ?? '?'}).`,
    );
  const policy = config.get('maxmemory-policy') ?? info.get('maxmemory_policy');
  if (policy && policy !== 'noeviction')
    problems.push(
      `${who} has maxmemory-policy ${policy}, wanted noeviction: under memory pressure it would delete tasks. Run CONFIG SET maxmemory-policy noeviction and put it into redis.conf.`,
    );
  // A replica refuses writes by its nature; saying it twice helps nobody.
  if (writeError && role !== 'slave')
    problems.push(
      `${who} refused a write (${writeError}), wanted a writable server: check its disk, its persistence errors and the user's permissions.`,
    );
  return problems;
}

function modeProblems({ who, info }: Facts, wanted: 'standalone' | 'cluster'): string[] {
  const found = info.get('redis_mode');
  if (found === undefined || found === wanted) return [];
  if (found === 'sentinel')
    return [
      `${who} is a sentinel, wanted a server that holds data: set REDIS_SENTINELS and REDIS_MASTER_NAME instead.`,
    ];
  if (wanted === 'cluster') return [`${who} runs by itself, wanted a node of a cluster: set REDIS_URL instead.`];
  return [
    `${who} runs in cluster mode, wanted a single server: set REDIS_CLUSTER_NODES to some of its nodes instead, and SHARDS above 1.`,
  ];
}

function aofProblems({ who, info }: Facts, { requireAof }: CheckOptions): string[] {
  if (!requireAof || info.get('aof_enabled') !== '0') return [];
  return [
    `${who} has no append-only file, wanted one because REDIS_REQUIRE_AOF is set. Run CONFIG SET appendonly yes and put it into redis.conf.`,
  ];
}

function warningsOf({ who, info, config, unseen }: Facts): string[] {
  const warnings: string[] = [];
  if (info.get('aof_enabled') === '0')
    warnings.push(
      `${who} has no append-only file: a crash loses tasks up to its last snapshot. Run CONFIG SET appendonly yes and put it into redis.conf.`,
    );
  else if (info.get('aof_last_write_status') === 'err')
    warnings.push(`${who} could not write its append-only file: check the disk of the server.`);
  if (Number(info.get('connected_slaves') ?? 0) > 0 && config.get('min-replicas-to-write') === '0')
    warnings.push(
      `${who} answers writes before any replica has them: a failover loses the last ones. Run CONFIG SET min-replicas-to-write 1 and put it into redis.conf, here and on the replicas.`,
    );
  if (info.get('redis_mode') === 'cluster' && config.get('cluster-require-full-coverage') === 'yes')
    warnings.push(
      `${who} stops all shards when one node is lost. Run CONFIG SET cluster-require-full-coverage no on every node, and put it into redis.conf.`,
    );
  if (unseen.length > 0)
    warnings.push(
      `${who} does not let this user look at its configuration, so these were not checked: ${unseen.join(', ')}. Allow CONFIG|GET or check them by hand.`,
    );
  return warnings;
}

function versionOf({ info }: Facts): string {
  return info.get('redis_version') ?? 'of unknown version';
}

/** On disk before the answer: the file is synced with every write. */
function isLocal({ info, config }: Facts): boolean {
  return info.get('aof_enabled') === '1' && config.get('appendfsync') === 'always';
}

function isRecent(version: string): boolean {
  const [major = 0, minor = 0] = version.split('.').map(Number);
  return major > VERSION_MIN[0] || (major === VERSION_MIN[0] && minor >= VERSION_MIN[1]);
}

async function factsOf(server: Connection, who: string, mayChange: boolean): Promise<Facts> {
  const info = parseInfo(await server.call('info', []));
  const config = new Map<string, string>();
  const unseen: string[] = [];
  for (const name of [...SETTINGS, ...(mayChange ? REPLICA_SETTINGS : [])]) {
    const value = await unlessRefused(server.call('config', ['get', name]));
    if (Array.isArray(value)) config.set(name, String(value[1]));
    else if (name !== 'maxmemory-policy' || !info.has('maxmemory_policy')) unseen.push(name);
  }
  return { who, info, config, unseen, writeError: null, selectError: null };
}

/**
 * A full server is not an unwritable one: it still lets work drain. Where another server may take over, a refusal is
 * waited for: replicas come, slots move.
 */
async function tryWrite(server: Commands, probe: string, mayChange: boolean): Promise<string | null> {
  const script = "#!lua flags=allow-oom\nreturn redis.call('SET', KEYS[1], '1', 'PX', 1000)";
  try {
    await server.call('eval', [script, 1, probe]);
    return null;
  } catch (error) {
    if (error instanceof StoreUnavailableError && (mayChange || !server.connected)) throw error;
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
