/**
 * Every setting there is, one line each: its kind, its default, one sentence. The loader reads by this table, and
 * `.env.example` and the README's table are printed from it, so none of them can say anything else.
 */
import { allowList, httpAgents, signingSecret } from './http-agents.ts';
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
  networks,
  oneOf,
  orWord,
  pairs,
  places,
  port,
  rate,
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

function secret(about: string, kind: Kind<string> = text): Setting<string | null> {
  return { kind, default: null, about, secret: true };
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
  REDIS_SENTINELS: setting(
    places(32, 26_379),
    null,
    'Sentinels as `host:port,…` that know the master, instead of `REDIS_URL` and `REDIS_HOST`.',
  ),
  REDIS_MASTER_NAME: setting(text, null, 'Name under which the sentinels know the master, such as `mymaster`.'),
  REDIS_SENTINEL_USERNAME: setting(text, null, 'User at the sentinels, where they ask for one.'),
  REDIS_SENTINEL_PASSWORD: secret('Password of the sentinels, where they have one; that of Redis is `REDIS_PASSWORD`.'),
  REDIS_CLUSTER_NODES: setting(
    places(64, 6_379),
    null,
    'Some nodes of a Redis Cluster as `host:port,…`, instead of `REDIS_URL`; `SHARDS` spreads over its masters.',
  ),
  REDIS_KEY_PREFIX: setting(keyPrefix, 'as', 'First part of every key, so that several systems may share one Redis.'),
  REDIS_MAX_CONNECTIONS: setting(
    wholeNumber(4, 1_000),
    '16',
    'Connections of one process to Redis at most; in a Cluster, one more for each master.',
  ),
  REDIS_REQUIRE_AOF: setting(yesOrNo, 'false', 'Refuse to start on a Redis without an append-only file.'),
  ALLOW_UNSAFE_REDIS: setting(
    reason,
    null,
    'Start on a Redis that may lose tasks (an eviction policy, an old version); the value says why.',
  ),
  REDIS_WAIT_REPLICAS: setting(
    wholeNumber(1, 16),
    '1',
    'Replicas that must have a task of durability `replicated` before it is answered.',
  ),
  REDIS_WAIT_TIMEOUT: setting(
    duration('10ms', '4s'),
    '1s',
    'How long to wait for them, or for the disk; after that the answer names the lower level reached.',
  ),
};

const embedded = {
  DATA_DIR: setting(
    text,
    null,
    'Folder in which the embedded store keeps a journal of everything durable, and its message key; without it, nothing outlives the process.',
  ),
  JOURNAL_FSYNC: setting(
    oneOf(['always', 'everysec', 'no']),
    'everysec',
    'When the journal is forced to the disk: with every answer, every second, or when the system likes. A killed process loses nothing either way.',
  ),
};

const keys = {
  A2A_TOKEN_SECRET: secret('Root secret that signs every message, at least 32 bytes, the same in every process.'),
  MESSAGE_KEYS: secret(
    'Several root secrets as `kid:base64url,…`, newest first, instead of `A2A_TOKEN_SECRET`; its file is read again when it changes.',
  ),
  MESSAGE_KEY_DELAY: setting(
    duration('0s', '1h'),
    '30s',
    'How long a key added to that file only verifies before it signs: longer than the file takes to reach every process.',
  ),
  WORKER_KEY: secret('The keys of one worker, instead of a root: the line of `agent-system keys derive`.'),
};

const access = {
  API_KEY: secret('Key that callers send as `X-API-Key` or `Authorization: Bearer`; it may do everything.'),
  API_KEYS_FILE: setting(
    text,
    null,
    'JSON file of keys with scopes and tenants, as `agent-system keys api` prints them; read again when it changes.',
  ),
  JWT_ISSUER: setting(text, null, 'Who signs the tokens (JWT) that callers may send as `Authorization: Bearer`.'),
  JWT_AUDIENCE: setting(text, null, 'Audience that these tokens must be made for.'),
  JWKS_FILE: setting(text, null, 'JWK set with the public keys of that issuer; read again when it changes.'),
  A2A_USE_MTLS: setting(
    yesOrNo,
    'false',
    'Serve HTTPS and take only clients with a certificate; `/health` and `/ready` stay open for probes.',
  ),
  A2A_CERT_PATH: setting(
    text,
    null,
    'PEM file of the certificate for HTTPS; with the key alone, clients need no certificate. Read again when it changes.',
  ),
  A2A_KEY_PATH: setting(text, null, 'PEM file of the key of that certificate.'),
  A2A_CA_PATH: setting(text, null, 'PEM file of the authorities that sign the certificates of clients.'),
  RATE_LIMIT: setting(
    orWord(rate, 'off'),
    'off',
    'Requests that one key (without keys: one address) may make to one process, such as `600/1m`.',
  ),
  TRUST_PROXY: setting(
    networks,
    null,
    "Proxies whose `X-Forwarded-For` says a client's address, such as `10.0.0.0/8` or `loopback`.",
  ),
  ALLOW_NO_AUTH: setting(reason, null, 'Listen beyond loopback without any key; the value says why.'),
  METRICS_TOKEN: secret('Bearer token for `/metrics`, which is open without one.'),
};

const work = {
  AGENTS: setting(list(256), null, 'Modules to load agents from, as paths with commas between them.'),
  WORKER_SLOTS: setting(wholeNumber(1, 1_024), '4', 'Attempts that a worker runs at once.'),
  WORKER_RESOURCES: setting(pairs(amount), null, 'What a worker offers, such as `gpu=1,vramGiB=24`.'),
  WORKER_LABELS: setting(pairs(word), null, 'Labels that tasks may ask for, such as `region=eu`.'),
  HTTP_AGENTS: setting(
    httpAgents,
    null,
    'Agents that a worker calls by HTTP, as `name=url,…`: `examples/python-worker` shows one.',
  ),
  HTTP_AGENT_SECRET: secret(
    'Signs the requests to these agents, at least 32 bytes; the agents know it too.',
    signingSecret,
  ),
  HTTP_AGENT_ALLOW: setting(
    allowList,
    null,
    'Hosts, `host:port` and ranges that these agents may be at although they are not public, such as `127.0.0.1:9000`.',
  ),
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
  RETENTION_BYTES: setting(
    orWord(bytes('4KiB', '1024GiB'), 'off'),
    '256MiB',
    'Memory that blocks of tasks with ended ones in them may take; beyond it the oldest ended tasks are pruned. `off` = no bound.',
  ),
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
  TENANT_CONCURRENCY: setting(
    wholeNumber(1, 1_000_000),
    null,
    'Attempts of one tenant at once at most; its other tasks wait. Agents set limits of their own.',
  ),
};

const logs = {
  LOG_LEVEL: setting(
    oneOf(['trace', 'debug', 'info', 'warn', 'error', 'fatal', 'silent'], { warning: 'warn', critical: 'fatal' }),
    'info',
    'Least important level that is logged; `debug` has every message, transition, command and retry. `INFO` and `DEBUG` are read too.',
  ),
  LOG_FILE: setting(text, null, 'File for the log instead of stdout, made for its owner alone; opened anew at SIGHUP.'),
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
  { title: 'Embedded store', settings: embedded },
  { title: 'Message keys', settings: keys },
  { title: 'Access', settings: access },
  { title: 'Work', settings: work },
  { title: 'Times', settings: time },
  { title: 'Limits', settings: limits },
  { title: 'Logs', settings: logs },
  { title: 'Commands', settings: client },
];

export const SETTINGS = {
  ...roles,
  ...redis,
  ...embedded,
  ...keys,
  ...access,
  ...work,
  ...time,
  ...limits,
  ...logs,
  ...client,
};

export type SettingName = keyof typeof SETTINGS;
export type Settings = { [N in SettingName]: (typeof SETTINGS)[N] extends Setting<infer T> ? T : never };

/** Names of settings to come. Whoever sets one relies on what it does, so it is refused rather than overlooked. */
export const NOT_YET_SUPPORTED: readonly string[] = ['DEPLOYMENT_MODE', 'REMOTE_AGENTS'];
