/**
 * Every setting there is, one line each: its kind, its default, one sentence. The loader reads by this table, and
 * `.env.example` and the README's table are printed from it, so none of them can say anything else.
 */
import {
  amount,
  bytes,
  duration,
  hostName,
  httpUrl,
  id,
  type Kind,
  keyPrefix,
  list,
  oneOf,
  orWord,
  pairs,
  port,
  reason,
  text,
  wholeNumber,
  word,
  yesOrNo,
} from './parse.ts';

export interface Setting<T> {
  kind: Kind<T>;
  /** As it would be written in the environment; null = none. */
  default: string | null;
  about: string;
  /** Never shown, refused when it is a placeholder, and also read from the file that `NAME_FILE` names. */
  secret: boolean;
}

function setting<T>(kind: Kind<T>, byDefault: string, about: string): Setting<T>;
function setting<T>(kind: Kind<T>, byDefault: null, about: string): Setting<T | null>;
function setting<T>(kind: Kind<T>, byDefault: string | null, about: string): Setting<T | null> {
  return { kind, default: byDefault, about, secret: false };
}

function secret(about: string): Setting<string | null> {
  return { kind: text, default: null, about, secret: true };
}

const roles = {
  AGENT_ROLE: setting(
    oneOf(['coordinator', 'distributor', 'worker', 'all', 'auto']),
    null,
    'Role of this process, unless `--role` names one; `auto` goes by the ids below.',
  ),
  COORDINATOR_ID: setting(id, null, 'Id of this coordinator; by default role-hostname-random, as for the other roles.'),
  COORDINATOR_PORT: setting(
    port,
    '8001',
    'HTTP port of a coordinator, and of `--role all`; 0 takes a free one, here and below.',
  ),
  DISTRIBUTOR_ID: setting(id, null, 'Id of this distributor; on a worker, the distributor that it belongs to.'),
  DISTRIBUTOR_PORT: setting(port, '8002', 'HTTP port of a distributor.'),
  WORKER_ID: setting(id, null, 'Id of this worker.'),
  WORKER_PORT: setting(port, '8003', 'HTTP port of a worker.'),
  SERVER_ID: setting(id, null, 'Id of a process that runs all roles.'),
  HOST: setting(hostName, '127.0.0.1', 'Address to listen on; any but loopback wants `API_KEY`.'),
  INSTANCE_METADATA: setting(
    pairs(word),
    null,
    'What the registry shows beside this instance, such as `zone=eu,pod=a1`.',
  ),
};

const redis = {
  BROKER: setting(
    oneOf(['memory', 'redis']),
    null,
    'The embedded store or Redis, said outright; by default Redis when one of its settings is there.',
  ),
  REDIS_URL: secret('`redis://user:password@host:6379/0`, or `rediss://` for TLS.'),
  REDIS_HOST: setting(
    text,
    null,
    'Host of Redis where there is no `REDIS_URL`; `host:port` and whole URLs are read too.',
  ),
  REDIS_PORT: setting(port, null, 'Port of Redis, 6379 where nothing names one.'),
  REDIS_DB: setting(wholeNumber(0, 65_535), null, 'Database number, 0 where nothing names one.'),
  REDIS_USERNAME: setting(text, null, 'User of the Redis ACL.'),
  REDIS_PASSWORD: secret('Password of Redis.'),
  REDIS_USE_TLS: setting(yesOrNo, null, 'Speak TLS to Redis.'),
  REDIS_SSL_CERT_REQS: setting(
    oneOf(['required', 'optional', 'none']),
    'required',
    'Whether the certificate of Redis is checked; `optional` checks it too, `none` does not.',
  ),
  REDIS_CA_FILE: setting(text, null, 'PEM file of the authorities that may have signed the certificate of Redis.'),
  REDIS_CERT_FILE: setting(text, null, 'PEM file of the client certificate for Redis.'),
  REDIS_KEY_FILE: setting(text, null, 'PEM file of the key of that certificate.'),
  REDIS_KEY_PREFIX: setting(keyPrefix, 'as', 'First part of every key, so that several systems may share one Redis.'),
  REDIS_MAX_CONNECTIONS: setting(wholeNumber(4, 1_000), '16', 'Connections of one process to Redis at most.'),
  REDIS_REQUIRE_AOF: setting(yesOrNo, 'false', 'Refuse to start on a Redis without an append-only file.'),
  ALLOW_UNSAFE_REDIS: setting(
    reason,
    null,
    'Start on a Redis that may lose tasks (an eviction policy, an old version); the value says why.',
  ),
};

const keys = {
  A2A_TOKEN_SECRET: secret('Root secret that signs every message, at least 32 bytes, the same in every process.'),
  MESSAGE_KEYS: secret('Several root secrets as `kid:base64url,…`, newest first, instead of `A2A_TOKEN_SECRET`.'),
};

const access = {
  API_KEY: secret('Key that callers send as `X-API-Key` or `Authorization: Bearer`.'),
  ALLOW_NO_AUTH: setting(reason, null, 'Listen beyond loopback without any key; the value says why.'),
  METRICS_TOKEN: secret('Bearer token for `/metrics`, which is open without one.'),
};

const work = {
  AGENTS: setting(list(256), null, 'Modules to load agents from, as paths with commas between them.'),
  WORKER_SLOTS: setting(wholeNumber(1, 1_024), '4', 'Attempts that a worker runs at once.'),
  WORKER_RESOURCES: setting(pairs(amount), null, 'What a worker offers, such as `gpu=1,vramGiB=24`.'),
  WORKER_LABELS: setting(pairs(word), null, 'Labels that tasks may ask for, such as `region=eu`.'),
};

const time = {
  HEARTBEAT_INTERVAL: setting(duration('20ms', '1h'), '5s', 'How often an instance says that it lives.'),
  INSTANCE_TTL: setting(
    duration('40ms', '6h'),
    '15s',
    'An instance silent for so long is gone; at least 2 × `HEARTBEAT_INTERVAL`.',
  ),
  LEADER_TTL: setting(
    duration('50ms', '1h'),
    '5s',
    'A shard without a sign of its owner for so long gets another one.',
  ),
  CLEANUP_INTERVAL: setting(
    duration('50ms', '24h'),
    '1m',
    'How often old tasks are pruned and indexes compared with the records.',
  ),
  STUCK_TASK_TIMEOUT: setting(duration('100ms', '20d'), '1h', 'Run timeout of an attempt whose task names none.'),
  DRAIN_TIMEOUT: setting(
    duration('0s', '24h'),
    '10s',
    'How long running attempts may go on after SIGTERM before they are handed back.',
  ),
  READY_PROGRESS_WITHIN: setting(
    duration('100ms', '1h'),
    '10s',
    'Not ready once a consume loop has stood still for so long.',
  ),
};

const limits = {
  SHARDS: setting(wholeNumber(1, 256), '1', 'Parts of the store; fixed when the store is first used.'),
  BATCH_SIZE_MAX: setting(wholeNumber(1, 500), '200', 'Tasks in one step inside the system at most.'),
  PRIORITY_AGEING: setting(
    orWord(duration('1ms', '365d'), 'off'),
    '60s',
    'Waiting that is worth one level of priority; `off` = strictly by priority.',
  ),
  RETENTION_COMPLETED: setting(duration('0s', '3650d'), '24h', 'How long completed and cancelled tasks are kept.'),
  RETENTION_FAILED: setting(duration('0s', '3650d'), '7d', 'How long failed tasks are kept.'),
  IDEMPOTENCY_TTL: setting(duration('1s', '365d'), '24h', 'How long the `key` of a task is remembered.'),
  // Escaped twice and in base64, the worst of 16 MiB still fits one envelope.
  MAX_PAYLOAD_BYTES: setting(bytes('1KiB', '16MiB'), '1MiB', 'Size of an input or a result at most.'),
  RETRY_MAX_ATTEMPTS: setting(wholeNumber(1, 100), '3', 'Attempts of a task that does not say, the first included.'),
  RETRY_BACKOFF: setting(
    duration('0s', '24h'),
    '1s',
    'Pause before the second attempt; doubles each time, with jitter.',
  ),
  WORKER_LOST_MAX: setting(
    wholeNumber(1, 100),
    '3',
    'A task under which so many workers were lost fails as `worker_lost`.',
  ),
  CREDIT_MAX: setting(
    wholeNumber(0, 4_096),
    '512',
    'Attempts of quick agents sent to a worker beyond its slots at most.',
  ),
  QUEUE_MAX: setting(
    wholeNumber(1, 1_000_000_000),
    null,
    'Waiting tasks in all at most; more are refused as `QUEUE_FULL`.',
  ),
};

const logs = {
  LOG_LEVEL: setting(
    oneOf(['trace', 'debug', 'info', 'warn', 'error', 'fatal', 'silent'], { warning: 'warn', critical: 'fatal' }),
    'info',
    'Least important level that is logged; `INFO` and `DEBUG` are read too.',
  ),
  LOG_FILE: setting(text, null, 'File for the log instead of stdout.'),
  LOG_FORMAT: setting(oneOf(['json', 'pretty']), 'json', 'One JSON object per line, or lines for people.'),
};

const client = {
  AGENT_SYSTEM_URL: setting(
    httpUrl,
    'http://127.0.0.1:8001',
    'Coordinator that `submit`, `tasks` and the other commands talk to.',
  ),
};

/** In the order in which people read them. */
export const SETTING_GROUPS: readonly { title: string; settings: Record<string, Setting<unknown>> }[] = [
  { title: 'Roles', settings: roles },
  { title: 'Redis', settings: redis },
  { title: 'Message keys', settings: keys },
  { title: 'Access', settings: access },
  { title: 'Work', settings: work },
  { title: 'Times', settings: time },
  { title: 'Limits', settings: limits },
  { title: 'Logs', settings: logs },
  { title: 'Commands', settings: client },
];

export const SETTINGS = { ...roles, ...redis, ...keys, ...access, ...work, ...time, ...limits, ...logs, ...client };

export type SettingName = keyof typeof SETTINGS;
export type Settings = { [N in SettingName]: (typeof SETTINGS)[N] extends Setting<infer T> ? T : never };

/** Names of settings to come. Whoever sets one relies on what it does, so it is refused rather than overlooked. */
export const NOT_YET_SUPPORTED: readonly string[] = [
  'RETENTION_BYTES',
  'REDIS_SENTINELS',
  'REDIS_MASTER_NAME',
  'REDIS_CLUSTER_NODES',
  'DATA_DIR',
  'WORKER_KEY',
  'WORKER_KEY_FILE',
  'A2A_USE_MTLS',
  'A2A_CERT_PATH',
  'A2A_KEY_PATH',
  'A2A_CA_PATH',
  'API_KEYS_FILE',
  'JWT_ISSUER',
  'JWT_AUDIENCE',
  'JWKS_FILE',
  'DEPLOYMENT_MODE',
  'REMOTE_AGENTS',
  'TENANT_CONCURRENCY',
];
