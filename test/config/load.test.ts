import { describe, expect, it } from 'vitest';
import { loadClientConfig, loadConfig } from '../../src/config/load.ts';
import { NOT_YET_SUPPORTED } from '../../src/config/schema.ts';
import { anInput, filesOf, GOOD_SECRET, load, problemsOf } from './builders.ts';

const REDIS = { REDIS_URL: 'redis://r', A2A_TOKEN_SECRET: GOOD_SECRET };

describe('loadConfig', () => {
  it('knows the defaults', () => {
    expect(load({})).toEqual({
      role: 'all',
      id: 'all-web-3-k2f8x1',
      host: '127.0.0.1',
      port: 8001,
      portIsDefault: true,
      redis: null,
      journal: null,
      keys: null,
      access: {
        apiKey: null,
        apiKeys: null,
        jwt: null,
        allowNoAuth: null,
        metricsToken: null,
        rateLimit: null,
        trustProxy: [],
      },
      tls: null,
      work: {
        agents: [],
        slots: 4,
        resources: {},
        labels: {},
        http: { urls: {}, secret: null, allow: [] },
        distributorId: null,
      },
      time: {
        heartbeatIntervalMs: 5_000,
        instanceTtlMs: 15_000,
        leaderTtlMs: 5_000,
        cleanupIntervalMs: 60_000,
        stuckTaskTimeoutMs: 3_600_000,
        drainTimeoutMs: 10_000,
        readyProgressWithinMs: 10_000,
      },
      limits: {
        shards: 1,
        batchSizeMax: 200,
        priorityAgeingMs: 60_000,
        retentionCompletedMs: 86_400_000,
        retentionFailedMs: 604_800_000,
        retentionBytes: 268_435_456,
        idempotencyTtlMs: 86_400_000,
        maxPayloadBytes: 1_048_576,
        retry: { maxAttempts: 3, backoffMs: 1_000, factor: 2 },
        workerLostMax: 3,
        creditMax: 512,
        queueMax: null,
        tenantConcurrency: null,
      },
      log: { level: 'info', file: null, format: 'json' },
      metadata: {},
      warnings: [],
    });
  });

  it('reads what the defaults leave out', () => {
    const config = load({
      ...REDIS,
      AGENTS: './a.js, ./b.js',
      WORKER_RESOURCES: 'gpu=1,vramGiB=24',
      WORKER_LABELS: 'region=eu',
      INSTANCE_METADATA: 'zone=eu,pod=a1',
      PRIORITY_AGEING: 'off',
      QUEUE_MAX: '5000',
      RETENTION_BYTES: 'off',
      LOG_LEVEL: 'DEBUG',
      LOG_FILE: '/var/log/a.log',
      REDIS_REQUIRE_AOF: 'yes',
      ALLOW_UNSAFE_REDIS: 'a test',
    });
    expect(config.work).toMatchObject({ agents: ['./a.js', './b.js'], resources: { gpu: 1, vramGiB: 24 } });
    expect([config.work.labels, config.metadata]).toEqual([{ region: 'eu' }, { zone: 'eu', pod: 'a1' }]);
    const { priorityAgeingMs, queueMax, retentionBytes } = config.limits;
    expect([priorityAgeingMs, queueMax, retentionBytes]).toEqual(['off', 5_000, 'off']);
    expect(config.log).toEqual({ level: 'debug', file: '/var/log/a.log', format: 'json' });
    expect(config.redis).toMatchObject({
      requireAof: true,
      allowUnsafe: 'a test',
      keyPrefix: 'as',
      maxConnections: 16,
    });
  });

  it('is frozen all the way down', () => {
    const config = load({ ...REDIS, WORKER_LABELS: 'a=b' });
    expect(() => Object.assign(config.limits.retry, { factor: 3 })).toThrow(TypeError);
    expect(() => Object.assign(config.work.labels, { c: 'd' })).toThrow(TypeError);
    expect(() => (config.warnings as string[]).push('x')).toThrow(TypeError);
  });

  it('accepts the slower times of other systems', () => {
    expect(problemsOf({ HEARTBEAT_INTERVAL: '30s', INSTANCE_TTL: '2m', LEADER_TTL: '30s' })).toEqual([]);
  });

  it.each<[string, string, string]>([
    ['WORKER_SLOTS', 'many', 'wanted a whole number from 1 to 1024'],
    ['WORKER_SLOTS', '0', 'wanted a whole number from 1 to 1024'],
    ['WORKER_SLOTS', '4.5', 'wanted a whole number from 1 to 1024'],
    ['COORDINATOR_PORT', '70000', 'wanted a whole number from 0 to 65535'],
    ['CLEANUP_INTERVAL', '30', 'wanted a duration from 50ms to 24h, such as 250ms, 30s, 5m or 1h'],
    ['DRAIN_TIMEOUT', '25h', 'wanted a duration from 0s to 24h, such as 250ms, 30s, 5m or 1h'],
    ['PRIORITY_AGEING', 'on', 'wanted a duration from 1ms to 365d, such as 250ms, 30s, 5m or 1h, or off'],
    ['MAX_PAYLOAD_BYTES', '1M', 'wanted a size from 1KiB to 16MiB, such as 64KiB or 1MiB'],
    ['LOG_LEVEL', 'loud', 'wanted one of trace, debug, info, warn, error, fatal, silent'],
    ['LOG_LEVEL', 'constructor', 'wanted one of trace, debug, info, warn, error, fatal, silent'],
    ['BROKER', 'kafka', 'wanted one of memory, redis'],
    ['WORKER_RESOURCES', 'gpu', 'wanted at most 64 pairs name=number with commas between them, every name once'],
    ['HOST', 'http://x', 'wanted an address or host name without a port, such as 127.0.0.1, 0.0.0.0 or ::'],
    ['ALLOW_NO_AUTH', 'false', 'wanted the reason in words, or nothing at all to stay safe'],
    ['REDIS_REQUIRE_AOF', 'perhaps', 'wanted true or false'],
    [
      'SERVER_ID',
      '-x',
      'wanted up to 128 letters, digits, dots, hyphens or underscores, beginning with a letter or digit',
    ],
    ['AGENT_SYSTEM_URL', 'x', 'wanted an http or https URL such as http://127.0.0.1:8001'],
  ])('refuses %s=%s', (name, value, wanted) => {
    expect(problemsOf({ [name]: value })).toEqual([`${name} is "${value}", ${wanted}`]);
  });

  it('reports everything that is wrong at once', () => {
    const problems = problemsOf(
      {
        WORKER_SLOTS: 'many',
        LOG_FORMAT: 'xml',
        HOST: '0.0.0.0',
        INSTANCE_TTL: '6s',
        REMOTE_AGENTS: 'a',
        REDIS_HOST: 'r',
      },
      { dotenvText: 'SHARDS=none\nbroken', flags: { port: 'x' } },
    );
    expect(problems.map((problem) => problem.slice(0, 18))).toEqual([
      '.env line 2 is not',
      'WORKER_SLOTS is "m',
      'SHARDS in .env is ',
      'LOG_FORMAT is "xml',
      'REMOTE_AGENTS is n',
      '--port is "x", wan',
      'Redis is configure',
      'HOST "0.0.0.0" can',
      'INSTANCE_TTL is 60',
    ]);
  });

  it('draws no second problem from a value that was refused already', () => {
    expect(problemsOf({ HEARTBEAT_INTERVAL: '5 s', INSTANCE_TTL: '1s' })).toHaveLength(1);
    expect(problemsOf({ REDIS_HOST: 'r', A2A_TOKEN_SECRET: 'changeme' })).toHaveLength(1);
    expect(problemsOf({ HOST: '0.0.0.0', API_KEY: 'changeme' })).toHaveLength(1);
  });

  it.each(NOT_YET_SUPPORTED)('refuses %s by name, which it does not know yet', (name) => {
    expect(problemsOf({ [name]: 'x' })).toEqual([`${name} is not supported by this version: unset it`]);
    expect(problemsOf({ [name]: '' })).toEqual([]);
    expect(problemsOf({ [name]: 'false' })).toEqual([]);
  });

  it.each([
    ['REDIS_PORT', 'tcp://10.0.0.1:6379'],
    ['WORKER_PORT', 'tcp://10.0.0.1:8003'],
    ['COORDINATOR_PORT', 'udp://[fd00::1]:53'],
  ])('refuses the Kubernetes service link %s=%s with its cure', (name, value) => {
    const problems = problemsOf({ ...REDIS, [name]: value });
    expect(problems).toEqual([expect.stringMatching(`^${name} is .*enableServiceLinks: false`)]);
  });

  it('warns of a short API_KEY where others can reach the host, and does not show it', () => {
    const warned = (env: Record<string, string>) => load(env).warnings;
    const [warning] = warned({ HOST: '0.0.0.0', API_KEY: 'abc123xyz' });
    expect(warning).toMatch(/^API_KEY has 9 characters, and others can reach HOST: .*keys generate$/);
    expect(warning).not.toContain('abc123xyz');
    expect(warned({ API_KEY: 'abc123xyz' })).toEqual([]);
    expect(warned({ HOST: '0.0.0.0', API_KEY: 'd8s7f6g5h4j3k2l1m0n9' })).toEqual([]);
  });

  it('warns of names that are nearly ours, from both places', () => {
    const { warnings } = load({ REDIS_HOTS: 'r' }, { dotenvText: 'WORKER_SLOT=9' });
    expect(warnings.map((warning) => warning.split(' ')[0])).toEqual(['REDIS_HOTS', 'WORKER_SLOT']);
  });
});

it('shows the likely slip beside what is missing because of it', () => {
  const problems = problemsOf({ AGENT_ROLE: 'worker', REDIS_HOTS: 'r' });
  expect(problems).toHaveLength(2);
  expect(problems[1]).toContain('did you mean REDIS_HOST?');
});

describe('where a value comes from', () => {
  it('is the process before .env, and a flag before both; empty counts as unset', () => {
    const dotenvText = 'WORKER_SLOTS=7\nHOST=127.0.0.2\nLOG_LEVEL=warn';
    const config = load({ WORKER_SLOTS: '8', LOG_LEVEL: ' ' }, { dotenvText, flags: { host: '127.0.0.3' } });
    expect([config.work.slots, config.host, config.log.level]).toEqual([8, '127.0.0.3', 'warn']);
  });

  it('of a secret may be a file, whose last line ends are no part of it', () => {
    const readFile = filesOf({ '/key': 'f1le-key-of-mine\r\n', '/empty': '\n' });
    expect(load({ API_KEY_FILE: '/key' }, { readFile }).access.apiKey).toBe('f1le-key-of-mine');
    expect(load({ API_KEY: 'pr0cess-key' }, { readFile, dotenvText: 'API_KEY_FILE=/key' }).access.apiKey).toBe(
      'pr0cess-key',
    );
    expect(problemsOf({ API_KEY_FILE: '/empty' }, { readFile })).toEqual([
      'API_KEY_FILE names /empty, which is empty, wanted a file with the secret',
    ]);
    expect(problemsOf({ API_KEY_FILE: '/gone' }, { readFile })).toEqual([
      'API_KEY_FILE names /gone, which cannot be read (ENOENT)',
    ]);
    expect(problemsOf({ API_KEY_FILE: '/key', API_KEY: 'b0th' }, { readFile })).toEqual([
      'API_KEY and API_KEY_FILE are both set: keep one of them',
    ]);
  });
});

describe('the keys', () => {
  const bytes = (count: number) => Buffer.alloc(count, 'abcdefg').toString('base64url');

  it('come from one secret or from several, newest first', () => {
    expect(load(REDIS).keys?.generations).toEqual([
      { kid: expect.stringMatching(/^[\w-]{8}$/), secret: Buffer.from(GOOD_SECRET) },
    ]);
    const other = load({ ...REDIS, A2A_TOKEN_SECRET: `${GOOD_SECRET}2` }).keys?.generations[0]?.kid;
    expect(other).not.toBe(load(REDIS).keys?.generations[0]?.kid);
    const several = load({ REDIS_URL: 'redis://r', MESSAGE_KEYS: `g2:${bytes(33)},g1:${bytes(32)}` });
    expect(several.keys?.generations.map(({ kid, secret }) => [kid, secret.length])).toEqual([
      ['g2', 33],
      ['g1', 32],
    ]);
  });

  it('are wanted with Redis, with the commands that make one; not on the embedded store', () => {
    const [problem, ...rest] = problemsOf({ REDIS_URL: 'redis://r' });
    expect(rest).toEqual([]);
    expect(problem).toMatch(/\n {2}agent-system keys generate\nor:\n {2}openssl rand -base64 48$/);
    expect(problemsOf({})).toEqual([]);
  });

  it.each<[Record<string, string>, string]>([
    [{ A2A_TOKEN_SECRET: GOOD_SECRET.slice(1) }, 'A2A_TOKEN_SECRET has 31 bytes, wanted at least 32'],
    [{ MESSAGE_KEYS: `g1:${bytes(31)}` }, 'MESSAGE_KEYS entry 1 ("g1") has 31 bytes, wanted at least 32'],
    [{ MESSAGE_KEYS: `g2:${bytes(32)},oops` }, 'MESSAGE_KEYS entry 2 is not of the form kid:base64url'],
    [{ MESSAGE_KEYS: `a:${bytes(32)},a:${bytes(40)}` }, 'MESSAGE_KEYS names the kid "a" more than once'],
    [{ MESSAGE_KEYS: ',' }, 'MESSAGE_KEYS has 0 entries'],
    [
      { MESSAGE_KEYS: `a:${bytes(32)}`, A2A_TOKEN_SECRET: GOOD_SECRET },
      'A2A_TOKEN_SECRET and MESSAGE_KEYS are both set',
    ],
  ])('are refused when wrong: %j', (env, problem) => {
    expect(problemsOf(env)).toEqual([expect.stringContaining(problem)]);
  });

  it.each([
    'change-me',
    'changeme',
    'CHANGE_ME_to_something_of_32_bytes_or_more',
    'secret',
    'my-secret-key',
    'your-strong-password',
    'your-secret-key-of-at-least-32-bytes',
    'example',
    'example-key-000000000000000000000000',
    'xxxxxxxx',
    'xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx',
    '00000000000000000000000000000000',
    '<insert>',
    'password',
  ])('and other secrets may be no placeholder: %s', (value) => {
    for (const name of ['A2A_TOKEN_SECRET', 'API_KEY', 'METRICS_TOKEN', 'REDIS_PASSWORD'])
      expect(problemsOf({ BROKER: 'memory', [name]: value })).toEqual([
        `${name} is a placeholder (not shown), wanted a secret of your own`,
      ]);
  });

  it('are never part of a message', () => {
    const value = 'Zq8-too-short';
    const problems = problemsOf({
      A2A_TOKEN_SECRET: value,
      MESSAGE_KEYS: `g1:${value}`,
      API_KEY: 'tcp://zq8:1',
      REDIS_URL: `redis://:${value}@r/x`,
    });
    expect(problems.length).toBeGreaterThan(2);
    expect(problems.join()).not.toMatch(/zq8/i);
  });
});

describe('what is not safe', () => {
  it.each(['0.0.0.0', '::', '10.0.0.5', 'example.org', '127.evil.org'])('is HOST %s without a key', (host) => {
    expect(problemsOf({ HOST: host })).toEqual([expect.stringContaining(`HOST "${host}" can be reached`)]);
    expect(problemsOf({}, { flags: { host } })).toHaveLength(1);
    expect(problemsOf({ HOST: host, API_KEY: 'a-key-of-mine' })).toEqual([]);
    expect(problemsOf({ HOST: host, ALLOW_NO_AUTH: 'behind a proxy' })).toEqual([]);
  });

  it.each(['127.0.0.1', '127.1.2.3', 'localhost', '::1'])('is not HOST %s', (host) => {
    expect(problemsOf({ HOST: host })).toEqual([]);
  });

  it('is one late heartbeat that would end an instance', () => {
    expect(problemsOf({ HEARTBEAT_INTERVAL: '5s', INSTANCE_TTL: '9999ms' })).toEqual([
      expect.stringContaining('INSTANCE_TTL is 9999 ms, wanted at least 2 × HEARTBEAT_INTERVAL (10000 ms)'),
    ]);
    expect(problemsOf({ HEARTBEAT_INTERVAL: '5s', INSTANCE_TTL: '10s' })).toEqual([]);
  });

  it.each(['coordinator', 'distributor', 'worker'])('is a %s alone without Redis', (role) => {
    const [problem, ...rest] = problemsOf({ AGENT_ROLE: role });
    expect(rest).toEqual([]);
    expect(problem).toMatch(/REDIS_URL.*--role all/);
    expect(problemsOf({ AGENT_ROLE: role, BROKER: 'memory', REDIS_URL: 'redis://r' })).toHaveLength(1);
  });
});

describe('loadClientConfig', () => {
  it('needs nothing but its own two settings to be right', () => {
    const input = anInput({ WORKER_SLOTS: 'many', REDIS_PORT: 'tcp://1.2.3.4:5', API_KEY: 'a-key-of-mine' });
    expect(loadConfig(input)).toBeNull();
    expect(loadClientConfig({ ...input, dotenvText: 'AGENT_SYSTEM_URL=https://h:1/\nbroken' })).toEqual({
      url: 'https://h:1',
      apiKey: 'a-key-of-mine',
    });
    expect(() => loadClientConfig(anInput({ AGENT_SYSTEM_URL: 'x' }))).toThrow('AGENT_SYSTEM_URL is "x"');
  });
});
