/**
 * Everything a process is told from outside, as one frozen object. Pure: environment, files, host name and random
 * come in as arguments. All that is wrong is gathered and refused at once, so nobody mends a configuration one
 * start at a time; values of secrets never stand in a message.
 */
import { ConfigurationError } from '../errors.ts';
import { parseDotenv } from './dotenv.ts';
import { lookalikeWarnings } from './near-names.ts';
import { type RedisConfig, readRedis, wantsRedis } from './redis-settings.ts';
import { defaultId, ownId, type Role, roleOf } from './role.ts';
import { SETTINGS, type Settings } from './schema.ts';
import { type KeyGeneration, MISSING_KEYS, readGenerations } from './secrets.ts';
import { type Environment, quoted, type ReadSettings, readSettings, refused, refuseUnsupported } from './sources.ts';

export type LogLevel = Settings['LOG_LEVEL'];

export interface Config {
  readonly role: Role;
  readonly id: string;
  readonly host: string;
  readonly port: number;
  /** Nobody asked for this port: a worker or distributor may take a free one instead. */
  readonly portIsDefault: boolean;
  /** Null = the embedded store. */
  readonly redis: Readonly<RedisConfig> | null;
  /** Newest first. Null only on the embedded store: whoever opens it makes a key for its life. */
  readonly keys: { readonly generations: readonly Readonly<KeyGeneration>[] } | null;
  readonly access: {
    readonly apiKey: string | null;
    /** The reason given for listening without a key. */
    readonly allowNoAuth: string | null;
    readonly metricsToken: string | null;
  };
  readonly work: {
    readonly agents: readonly string[];
    readonly slots: number;
    readonly resources: Readonly<Record<string, number>>;
    readonly labels: Readonly<Record<string, string>>;
    /** The distributor a worker is told to belong to; null = it finds one. */
    readonly distributorId: string | null;
  };
  readonly time: {
    readonly heartbeatIntervalMs: number;
    readonly instanceTtlMs: number;
    readonly leaderTtlMs: number;
    readonly cleanupIntervalMs: number;
    readonly stuckTaskTimeoutMs: number;
    readonly drainTimeoutMs: number;
    readonly readyProgressWithinMs: number;
  };
  readonly limits: {
    readonly shards: number;
    readonly batchSizeMax: number;
    readonly priorityAgeingMs: number | 'off';
    readonly retentionCompletedMs: number;
    readonly retentionFailedMs: number;
    readonly idempotencyTtlMs: number;
    readonly maxPayloadBytes: number;
    readonly retry: { readonly maxAttempts: number; readonly backoffMs: number; readonly factor: number };
    readonly workerLostMax: number;
    readonly creditMax: number;
    /** Null = no bound. */
    readonly queueMax: number | null;
  };
  readonly log: { readonly level: LogLevel; readonly file: string | null; readonly format: 'json' | 'pretty' };
  readonly metadata: Readonly<Record<string, string>>;
  /** For the log: what has no effect or is likely a slip. */
  readonly warnings: readonly string[];
}

/** From the command line; each wins over its setting. */
export interface ConfigFlags {
  role?: string | undefined;
  host?: string | undefined;
  port?: string | number | undefined;
}

export interface ConfigInput {
  env: Environment;
  /** Text of the `.env` of the working directory, where there is one. */
  dotenvText?: string | undefined;
  /** Text of a file; throws when it cannot be read. */
  readFile: (path: string) => string;
  flags?: ConfigFlags;
  hostname: string;
  /** So many random characters `[0-9a-z]`, for ids that nobody chose. */
  randomId: (length: number) => string;
}

/**
 * @returns null when neither flag nor environment names a role: the caller then prints the help, whatever else is set
 * @throws ConfigurationError with every problem at once
 */
export function loadConfig(input: ConfigInput): Config | null {
  const findings: Findings = { problems: [], warnings: [] };
  const told = readAll(input, (problem) => findings.problems.push(problem));
  if (told.role === null) return null;
  const built = build(told.role, told, input, findings);
  // A name that is nearly ours is often the reason why something else is missing: then it stands beside that.
  if (findings.problems.length > 0) throw new ConfigurationError([...findings.problems, ...findings.warnings]);
  return frozen({ ...built, warnings: findings.warnings });
}

interface Findings {
  problems: string[];
  warnings: string[];
}

interface Told {
  role: Role | null;
  flags: ReadFlags;
  read: ReadSettings;
  names: string[];
}

/** Each setting and flag by itself. */
function readAll(input: ConfigInput, refuse: (problem: string) => void): Told {
  const dotenv = parseDotenv(input.dotenvText ?? '');
  dotenv.problems.forEach(refuse);
  const sources = { env: input.env, dotenv: dotenv.values, readFile: input.readFile };
  const read = readSettings(sources, refuse);
  refuseUnsupported(sources, refuse);
  const flags = readFlags(input.flags ?? {}, refuse);
  const role = roleOf(flags.role ?? read.settings.AGENT_ROLE, read.settings);
  const names = [...new Set([...Object.keys(input.env), ...Object.keys(dotenv.values)])];
  // With a wrong role the start is refused in the end, but the rules that follow need some role to go on with.
  return { role: role ?? (namesRole(read) ? 'all' : null), flags, read, names };
}

/** The configuration, and what is wrong with the settings taken together. */
function build(role: Role, told: Told, input: ConfigInput, findings: Findings): Omit<Config, 'warnings'> {
  const { read, flags, names } = told;
  const { settings } = read;
  findings.warnings.push(...lookalikeWarnings(names));
  const refuse = (problem: string) => void findings.problems.push(problem);
  const warn = (warning: string) => void findings.warnings.push(warning);
  const redis = wantsRedis(read) ? readRedis(settings, input.readFile, { refuse, warn }) : null;
  const generations = readGenerations(settings.A2A_TOKEN_SECRET, settings.MESSAGE_KEYS, refuse);
  const where = listenOn(role, read, flags);
  checkTogether({ role, host: where.host, redis, read, generations }, { refuse, warn });
  const id = ownId(role, settings) ?? defaultId(role, input.hostname, input.randomId(6));
  return { role, id, ...where, redis, keys: generations && { generations }, ...sections(role, settings) };
}

/** For commands that only talk to a running system: they must work whatever roles are configured here. */
export function loadClientConfig(input: Pick<ConfigInput, 'env' | 'dotenvText' | 'readFile'>): ClientConfig {
  const names = new Set(['AGENT_SYSTEM_URL', 'API_KEY', 'API_KEY_FILE']);
  const only = (from: Environment) => Object.fromEntries(Object.entries(from).filter(([name]) => names.has(name)));
  const problems: string[] = [];
  const dotenv = only(parseDotenv(input.dotenvText ?? '').values);
  const { settings } = readSettings({ env: only(input.env), dotenv, readFile: input.readFile }, (problem) =>
    problems.push(problem),
  );
  if (problems.length > 0) throw new ConfigurationError(problems);
  return { url: settings.AGENT_SYSTEM_URL, apiKey: settings.API_KEY };
}

export interface ClientConfig {
  url: string;
  apiKey: string | null;
}

/** A role was named, if wrongly: that deserves its error, not the help. */
function namesRole({ bad }: ReadSettings): boolean {
  return ['AGENT_ROLE', 'WORKER_ID', 'DISTRIBUTOR_ID', 'COORDINATOR_ID', 'SERVER_ID'].some((name) => bad.has(name));
}

interface ReadFlags {
  role?: Role | 'auto' | undefined;
  host?: string | undefined;
  port?: number | undefined;
}

function readFlags(flags: ConfigFlags, refuse: (problem: string) => void): ReadFlags {
  const role = readFlag('--role', SETTINGS.AGENT_ROLE, flags.role, refuse);
  return {
    // A wrong role still was a role, and deserves its error instead of the help.
    role: role ?? (flags.role === undefined ? undefined : 'all'),
    host: readFlag('--host', SETTINGS.HOST, flags.host, refuse),
    port: readFlag('--port', SETTINGS.WORKER_PORT, flags.port, refuse),
  };
}

function readFlag<T>(
  name: string,
  { kind }: { kind: { wanted: string; read(text: string): T | undefined } },
  found: string | number | undefined,
  refuse: (problem: string) => void,
): T | undefined {
  if (found === undefined) return undefined;
  const value = kind.read(String(found));
  if (value === undefined) refuse(refused(name, quoted(String(found)), kind.wanted));
  return value;
}

const PORT_SETTINGS = {
  coordinator: 'COORDINATOR_PORT',
  distributor: 'DISTRIBUTOR_PORT',
  worker: 'WORKER_PORT',
  all: 'COORDINATOR_PORT',
} as const;

function listenOn(role: Role, { settings, given }: ReadSettings, flags: ReadFlags) {
  const name = PORT_SETTINGS[role];
  return {
    host: flags.host ?? settings.HOST,
    port: flags.port ?? settings[name],
    portIsDefault: flags.port === undefined && !given.has(name),
  };
}

interface Together {
  role: Role;
  host: string;
  redis: RedisConfig | null;
  read: ReadSettings;
  generations: KeyGeneration[] | null;
}

/** The rules that no single value can break. Those that look at a value which was refused already say nothing more. */
function checkTogether(
  found: Together,
  report: { refuse: (text: string) => void; warn: (text: string) => void },
): void {
  const { role, host, redis, read, generations } = found;
  const { settings, given, bad } = read;
  const hasKeys = generations !== null || given.has('A2A_TOKEN_SECRET') || given.has('MESSAGE_KEYS');
  const hasAuth = given.has('API_KEY') || given.has('ALLOW_NO_AUTH');
  const timesRead = !bad.has('INSTANCE_TTL') && !bad.has('HEARTBEAT_INTERVAL');
  if (redis === null && role !== 'all') report.refuse(aloneWithoutRedis(role, settings));
  if (redis !== null && !hasKeys) report.refuse(MISSING_KEYS);
  if (!isLoopback(host) && !hasAuth) report.refuse(openToOthers(host));
  if (timesRead && settings.INSTANCE_TTL < 2 * settings.HEARTBEAT_INTERVAL) report.refuse(endsTooSoon(settings));
  if (redis === null && settings.REDIS_REQUIRE_AOF)
    report.warn('REDIS_REQUIRE_AOF has no effect on the embedded store, which keeps tasks in memory only');
}

function aloneWithoutRedis(role: Role, { BROKER }: Settings): string {
  return (
    `A ${role} of its own needs a Redis to meet the others, and ${BROKER === 'memory' ? 'BROKER is memory' : 'none is set'}: ` +
    'set REDIS_URL, or run everything in one process with --role all'
  );
}

function openToOthers(host: string): string {
  return (
    `HOST ${quoted(host)} can be reached from other machines and there is no key: ` +
    'set API_KEY, or ALLOW_NO_AUTH=<reason>, or listen on 127.0.0.1'
  );
}

function endsTooSoon({ INSTANCE_TTL, HEARTBEAT_INTERVAL }: Settings): string {
  return (
    `INSTANCE_TTL is ${INSTANCE_TTL} ms, wanted at least 2 × HEARTBEAT_INTERVAL (${2 * HEARTBEAT_INTERVAL} ms): ` +
    'one late heartbeat must not end an instance'
  );
}

export function isLoopback(host: string): boolean {
  return /^(127(\.\d{1,3}){3}|localhost|::1|::ffff:127(\.\d{1,3}){3})$/i.test(host);
}

function sections(role: Role, s: Settings): Pick<Config, 'access' | 'work' | 'time' | 'limits' | 'log' | 'metadata'> {
  return {
    access: { apiKey: s.API_KEY, allowNoAuth: s.ALLOW_NO_AUTH, metricsToken: s.METRICS_TOKEN },
    work: {
      agents: s.AGENTS ?? [],
      slots: s.WORKER_SLOTS,
      resources: s.WORKER_RESOURCES ?? {},
      labels: s.WORKER_LABELS ?? {},
      distributorId: role === 'worker' ? s.DISTRIBUTOR_ID : null,
    },
    time: {
      heartbeatIntervalMs: s.HEARTBEAT_INTERVAL,
      instanceTtlMs: s.INSTANCE_TTL,
      leaderTtlMs: s.LEADER_TTL,
      cleanupIntervalMs: s.CLEANUP_INTERVAL,
      stuckTaskTimeoutMs: s.STUCK_TASK_TIMEOUT,
      drainTimeoutMs: s.DRAIN_TIMEOUT,
      readyProgressWithinMs: s.READY_PROGRESS_WITHIN,
    },
    limits: {
      shards: s.SHARDS,
      batchSizeMax: s.BATCH_SIZE_MAX,
      priorityAgeingMs: s.PRIORITY_AGEING,
      retentionCompletedMs: s.RETENTION_COMPLETED,
      retentionFailedMs: s.RETENTION_FAILED,
      idempotencyTtlMs: s.IDEMPOTENCY_TTL,
      maxPayloadBytes: s.MAX_PAYLOAD_BYTES,
      retry: { maxAttempts: s.RETRY_MAX_ATTEMPTS, backoffMs: s.RETRY_BACKOFF, factor: 2 },
      workerLostMax: s.WORKER_LOST_MAX,
      creditMax: s.CREDIT_MAX,
      queueMax: s.QUEUE_MAX,
    },
    log: { level: s.LOG_LEVEL, file: s.LOG_FILE, format: s.LOG_FORMAT },
    metadata: s.INSTANCE_METADATA ?? {},
  };
}

/** Frozen all the way down, save the bytes of secrets: JavaScript cannot freeze those. */
function frozen<T>(value: T): T {
  if (typeof value !== 'object' || value === null || ArrayBuffer.isView(value)) return value;
  for (const part of Object.values(value)) frozen(part);
  return Object.freeze(value);
}
