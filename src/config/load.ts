/**
 * Everything a process is told from outside, as one frozen object. Pure: environment, files, host name and random
 * come in as arguments. All that is wrong is gathered and refused at once, so nobody mends a configuration one
 * start at a time; values of secrets never stand in a message.
 */
import { ConfigurationError } from '../errors.ts';
import type { WorkerKey } from '../message/worker-key.ts';
import { type AccessConfig, AUTH_SETTINGS, readAccess, readTls, type TlsConfig } from './access-settings.ts';
import { parseDotenv } from './dotenv.ts';
import { type KeySettings, readKeys, readWorkerKey } from './message-keys.ts';
import { lookalikeWarnings } from './near-names.ts';
import { type RedisConfig, readRedis, wantsRedis } from './redis-settings.ts';
import { defaultId, ownId, type Role, roleOf } from './role.ts';
import { SETTINGS, type Settings } from './schema.ts';
import { MISSING_KEYS } from './secrets.ts';
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
  /** Of the embedded store; null = it keeps everything in memory. */
  readonly journal: { readonly folder: string; readonly sync: Settings['JOURNAL_FSYNC'] } | null;
  /** Null only on the embedded store: whoever opens it makes a key for its life. */
  readonly keys: Readonly<KeySettings> | null;
  readonly access: AccessConfig;
  /** Null = HTTP without TLS. */
  readonly tls: TlsConfig | null;
  readonly work: {
    readonly agents: readonly string[];
    readonly slots: number;
    readonly resources: Readonly<Record<string, number>>;
    readonly labels: Readonly<Record<string, string>>;
    readonly http: {
      /** URLs by agent name. */
      readonly urls: Readonly<Record<string, string>>;
      readonly secret: string | null;
      readonly allow: readonly string[];
    };
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
    readonly retentionBytes: number | 'off';
    readonly idempotencyTtlMs: number;
    readonly maxPayloadBytes: number;
    readonly retry: { readonly maxAttempts: number; readonly backoffMs: number; readonly factor: number };
    readonly workerLostMax: number;
    readonly creditMax: number;
    /** Null = no bound. */
    readonly queueMax: number | null;
    /** Null = no bound. */
    readonly tenantConcurrency: number | null;
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

/** Settings that a command brings along. */
export interface ConfigSources {
  /** Win over everything but flags. */
  overrides: Environment;
  /** Count where neither the environment nor `.env` says anything. */
  defaults: Environment;
}

export interface ConfigInput extends Partial<ConfigSources> {
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
  workerKey: WorkerKey | null;
  names: string[];
}

/** Each setting and flag by itself. */
function readAll(input: ConfigInput, refuse: (problem: string) => void): Told {
  const dotenv = parseDotenv(input.dotenvText ?? '');
  dotenv.problems.forEach(refuse);
  const sources = {
    env: { ...input.env, ...input.overrides },
    dotenv: { ...input.defaults, ...dotenv.values },
    readFile: input.readFile,
  };
  const alone = readSettings(sources, refuse);
  const workerKey = readWorkerKey(alone, refuse);
  // Whoever holds the key of a worker is that worker, unless it is told otherwise.
  const WORKER_ID = alone.settings.WORKER_ID ?? workerKey?.workerId ?? null;
  const read = { ...alone, settings: { ...alone.settings, WORKER_ID } };
  refuseUnsupported(sources, refuse);
  const flags = readFlags(input.flags ?? {}, refuse);
  const role = roleOf(flags.role ?? read.settings.AGENT_ROLE, read.settings);
  const names = [...new Set([...Object.keys(input.env), ...Object.keys(dotenv.values)])];
  // With a wrong role the start is refused in the end, but the rules that follow need some role to go on with.
  return { role: role ?? roleOfWrongName(read), flags, read, workerKey, names };
}

/** The configuration, and what is wrong with the settings taken together. */
function build(role: Role, told: Told, input: ConfigInput, findings: Findings): Omit<Config, 'warnings'> {
  const { read, flags, names } = told;
  const { settings } = read;
  findings.warnings.push(...lookalikeWarnings(names));
  const refuse = (problem: string) => void findings.problems.push(problem);
  const warn = (warning: string) => void findings.warnings.push(warning);
  const redis = wantsRedis(read) ? readRedis(settings, input.readFile, { refuse, warn }) : null;
  const keys = readKeys(read, { role, workerKey: told.workerKey }, refuse);
  const where = listenOn(role, read, flags);
  checkTogether({ role, host: where.host, redis, read }, { refuse, warn });
  const id = ownId(role, settings) ?? defaultId(role, input.hostname, input.randomId(6));
  const access = readAccess(settings, input.readFile, { refuse, warn });
  const tls = readTls(settings, input.readFile, { refuse, warn });
  const journal = settings.DATA_DIR === null ? null : { folder: settings.DATA_DIR, sync: settings.JOURNAL_FSYNC };
  return { role, id, ...where, redis, journal, keys, access, tls, ...sections(role, settings) };
}

/** For commands that only talk to a running system: they must work whatever roles are configured here. */
export function loadClientConfig(input: Pick<ConfigInput, 'env' | 'dotenvText' | 'readFile'>): ClientConfig {
  const names = new Set([
    'AGENT_SYSTEM_URL',
    'API_KEY',
    'API_KEY_FILE',
    'A2A_CA_PATH',
    'A2A_CERT_PATH',
    'A2A_KEY_PATH',
  ]);
  const only = (from: Environment) => Object.fromEntries(Object.entries(from).filter(([name]) => names.has(name)));
  const problems: string[] = [];
  const dotenv = only(parseDotenv(input.dotenvText ?? '').values);
  const { settings } = readSettings({ env: only(input.env), dotenv, readFile: input.readFile }, (problem) =>
    problems.push(problem),
  );
  if (problems.length > 0) throw new ConfigurationError(problems);
  const { AGENT_SYSTEM_URL: url, API_KEY: apiKey, A2A_CA_PATH: ca, A2A_CERT_PATH: cert, A2A_KEY_PATH: key } = settings;
  return { url, apiKey, ...((ca || cert || key) && { tlsFiles: { ca, cert, key } }) };
}

export interface ClientConfig {
  url: string;
  apiKey: string | null;
  /** Of the authorities that sign the system's certificates, and of one's own certificate and its key. */
  tlsFiles?: TlsFiles;
}

/** Paths of PEM files. */
export interface TlsFiles {
  ca: string | null;
  cert: string | null;
  key: string | null;
}

/** A role was named, if wrongly: that deserves its error, not the help. */
function roleOfWrongName({ bad, given }: ReadSettings): Role | null {
  // Read rightly, the key of a worker would have named the role.
  if (given.has('WORKER_KEY')) return 'worker';
  const names = ['AGENT_ROLE', 'WORKER_ID', 'DISTRIBUTOR_ID', 'COORDINATOR_ID', 'SERVER_ID'];
  return names.some((name) => bad.has(name)) ? 'all' : null;
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
}

/** The rules that no single value can break. Those that look at a value which was refused already say nothing more. */
function checkTogether(
  found: Together,
  report: { refuse: (text: string) => void; warn: (text: string) => void },
): void {
  const { role, host, redis, read } = found;
  const { settings, given, bad } = read;
  const hasKeys = ['A2A_TOKEN_SECRET', 'MESSAGE_KEYS', 'WORKER_KEY'].some((name) => given.has(name));
  const hasAuth = AUTH_SETTINGS.some((name) => (name === 'A2A_USE_MTLS' ? settings[name] : given.has(name)));
  const timesRead = !bad.has('INSTANCE_TTL') && !bad.has('HEARTBEAT_INTERVAL');
  if (redis === null && role !== 'all') report.refuse(aloneWithoutRedis(role, settings));
  if (redis !== null && !hasKeys) report.refuse(MISSING_KEYS);
  if (!isLoopback(host) && !hasAuth) report.refuse(openToOthers(host));
  if (!isLoopback(host) && settings.API_KEY !== null && settings.API_KEY.length < API_KEY_LENGTH_GOOD)
    report.warn(`API_KEY has ${settings.API_KEY.length} characters, and others can reach HOST: ${WHY_LONGER}`);
  if (timesRead && settings.INSTANCE_TTL < 2 * settings.HEARTBEAT_INTERVAL) report.refuse(endsTooSoon(settings));
  if (settings.HTTP_AGENTS && !given.has('HTTP_AGENT_SECRET'))
    report.warn(
      'HTTP_AGENTS is set without HTTP_AGENT_SECRET: requests are not signed, so those agents cannot tell who calls',
    );
  if (redis === null && settings.REDIS_REQUIRE_AOF)
    report.warn('REDIS_REQUIRE_AOF has no effect on the embedded store: DATA_DIR makes that one durable');
  if (redis !== null && settings.DATA_DIR !== null) report.refuse(TWO_STORES);
  if (settings.DATA_DIR === null && settings.JOURNAL_FSYNC !== 'everysec')
    report.warn('JOURNAL_FSYNC has no effect without DATA_DIR');
}

const API_KEY_LENGTH_GOOD = 20;
const WHY_LONGER = 'a short key can be guessed, make one with: agent-system keys generate';

function aloneWithoutRedis(role: Role, { BROKER }: Settings): string {
  return (
    `A ${role} of its own needs a Redis to meet the others, and ${BROKER === 'memory' ? 'BROKER is memory' : 'none is set'}: ` +
    'set REDIS_URL, or run everything in one process with --role all'
  );
}

const TWO_STORES =
  'DATA_DIR is set and so is Redis: with Redis, tasks are kept there and a journal would stay empty; keep one of them ' +
  '(BROKER=memory leaves Redis out)';

function openToOthers(host: string): string {
  return (
    `HOST ${quoted(host)} can be reached from other machines and there is no key: ` +
    'set API_KEY (or API_KEYS_FILE, JWKS_FILE, A2A_USE_MTLS), or ALLOW_NO_AUTH=<reason>, or listen on 127.0.0.1'
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

function sections(role: Role, s: Settings): Pick<Config, 'work' | 'time' | 'limits' | 'log' | 'metadata'> {
  return {
    work: {
      agents: s.AGENTS ?? [],
      slots: s.WORKER_SLOTS,
      resources: s.WORKER_RESOURCES ?? {},
      labels: s.WORKER_LABELS ?? {},
      http: { urls: s.HTTP_AGENTS ?? {}, secret: s.HTTP_AGENT_SECRET, allow: s.HTTP_AGENT_ALLOW ?? [] },
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
      retentionBytes: s.RETENTION_BYTES,
      idempotencyTtlMs: s.IDEMPOTENCY_TTL,
      maxPayloadBytes: s.MAX_PAYLOAD_BYTES,
      retry: { maxAttempts: s.RETRY_MAX_ATTEMPTS, backoffMs: s.RETRY_BACKOFF, factor: 2 },
      workerLostMax: s.WORKER_LOST_MAX,
      creditMax: s.CREDIT_MAX,
      queueMax: s.QUEUE_MAX,
      tenantConcurrency: s.TENANT_CONCURRENCY,
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
