/**
 * Looks at everything a role would need to start here, without starting one: configuration, keys, agents, ports and the
 * store. Nothing is written but what the store's own check writes (a probe that expires).
 */
import { loadAgents } from './agent/load-agents.ts';
import type { Config } from './config/load.ts';
import { AgentSystemError, ConfigurationError } from './errors.ts';
import { makeStore } from './open-store.ts';
import { pause } from './runtime/runtime.ts';
import { systemRuntime } from './runtime/system-runtime.ts';
import { STORE_SCHEMA, type Store, type StoreIdentity } from './store/store.ts';
import { VERSION } from './version.ts';

export interface Finding {
  /** What was looked at: `keys`, `redis`, `port` … */
  check: string;
  state: 'ok' | 'warn' | 'fail';
  found: string;
  /** What to do; absent where there is nothing to do. */
  advice?: string;
}

const STORE_WAIT_MS = 5_000;
const PORT_WAIT_MS = 1_000;
const PINGS = 9;
/** Everything works by the store's clock; a host this far off only misleads whoever compares logs. */
const CLOCK_OFF_MS = 2_000;
const PING_SLOW_MS = 20;

/** @param load reads the configuration, as a role that starts here would; throws ConfigurationError */
export async function examine(load: () => Config): Promise<Finding[]> {
  let config: Config;
  try {
    config = load();
  } catch (error) {
    if (!(error instanceof ConfigurationError)) throw error;
    return error.problems.map((problem) =>
      fail('config', problem, 'correct it in the environment, in .env, or in the file that it names'),
    );
  }
  return [
    ok('version', `agent-system ${VERSION} on Node ${process.version}`),
    ...configFindings(config),
    keyFinding(config),
    accessFinding(config),
    ...(await agentFindings(config)),
    await portFinding(config),
    ...(await storeFindings(config)),
  ];
}

function configFindings({ role, id, redis, warnings }: Config): Finding[] {
  const store = redis === null ? 'the embedded store' : 'Redis';
  return [
    ok('config', `role ${role} on ${store}, id ${id}`),
    ...warnings.map((text) => warn('config', text, 'check the name and the value')),
  ];
}

function keyFinding({ keys }: Config): Finding {
  if (keys === null) return ok('keys', 'none given: the embedded store makes one');
  const kids = keys.generations.map(({ kid }) => kid);
  if (kids.length === 0) return ok('keys', 'the keys of this worker alone (WORKER_KEY)');
  const others = kids.length > 1 ? `, ${kids.length - 1} older still verify` : '';
  return ok('keys', `${kids[0]} signs${others}; every process needs the same`);
}

function accessFinding({ host, access, tls }: Config): Finding {
  const wanted = [
    access.apiKey !== null && 'API_KEY',
    access.apiKeys !== null && `a key of ${access.apiKeys.file}`,
    access.jwt !== null && `a token of ${access.jwt.issuer}`,
  ].filter((one) => one !== false);
  const mutual = (tls?.files.ca ?? null) !== null;
  const certificate = mutual ? ', and a client certificate' : '';
  if (wanted.length > 0) return ok('access', `callers need ${wanted.join(' or ')}${certificate}`);
  if (mutual) return ok('access', 'callers need a client certificate');
  if (access.allowNoAuth !== null) {
    return warn(
      'access',
      `${host} is open to everyone (${access.allowNoAuth})`,
      'set API_KEY when others can reach it',
    );
  }
  return ok('access', `only ${host} is listened on, without a key`);
}

async function agentFindings({ work, role }: Config): Promise<Finding[]> {
  if (role !== 'worker' && role !== 'all') return [];
  const called = Object.entries(work.http.urls).map(([name, url]) => `${name} at ${url}`);
  if (work.agents.length + called.length === 0) {
    return [ok('agents', 'only the built-in ones; AGENTS names modules with others')];
  }
  try {
    const agents = await loadAgents(work.agents, process.cwd());
    return [ok('agents', [...agents.map(({ name, version }) => `${name} ${version}`), ...called].join(', '))];
  } catch (error) {
    return [fail('agents', textOf(error), 'mend the module, or the path in AGENTS')];
  }
}

/** A port that one of ours holds already is what is expected on a host where the system runs. */
async function portFinding({ host, port, portIsDefault, role }: Config): Promise<Finding> {
  if (port === 0) return ok('port', 'a free one will be taken');
  if (await isFree(host, port)) return ok('port', `${port} on ${host} is free`);
  const holder = await whoListens(host, port);
  if (holder !== null) return ok('port', `${port} on ${host} is held by a running system: ${holder}`);
  if (portIsDefault && (role === 'worker' || role === 'distributor')) {
    return ok('port', `${port} on ${host} is in use by another program: a free one will be taken`);
  }
  return fail('port', `${port} on ${host} is in use by another program`, 'stop it, or choose another with --port');
}

async function isFree(host: string, port: number): Promise<boolean> {
  const { createServer } = await import('node:net');
  return new Promise((resolve) => {
    const server = createServer();
    server.once('error', () => resolve(false));
    server.listen({ host, port }, () => server.close(() => resolve(true)));
  });
}

async function whoListens(host: string, port: number): Promise<string | null> {
  try {
    const answer = await fetch(`http://${host}:${port}/health`, { signal: AbortSignal.timeout(PORT_WAIT_MS) });
    const { role, instance_id } = (await answer.json()) as { role?: unknown; instance_id?: unknown };
    return typeof role === 'string' && typeof instance_id === 'string' ? `${role} ${instance_id}` : null;
  } catch {
    return null;
  }
}

async function storeFindings(config: Config): Promise<Finding[]> {
  if (config.redis === null) return [ok('store', 'embedded, in the process itself')];
  const store = await makeStore(config, systemRuntime);
  try {
    return await withinWait(lookAt(store, config));
  } catch (error) {
    return [fail('redis', textOf(error), 'check REDIS_URL (or REDIS_HOST and REDIS_PORT), and that Redis runs')];
  } finally {
    await store.close();
  }
}

async function lookAt(store: Store, { limits }: Config): Promise<Finding[]> {
  const { problems, warnings, description, durability } = await store.check();
  const findings = [
    ok('redis', `${description}, durability ${durability}`),
    ...problems.map((text) => fail('redis', text)),
    ...warnings.map((text) => warn('redis', text)),
  ];
  if (problems.length > 0) return findings;
  const identity = await store.identity();
  findings.push(identityFinding(identity, limits.shards), await clockFinding(store));
  if (identity !== null) findings.push(...(await fleetFindings(store, identity)));
  return findings;
}

function identityFinding(identity: StoreIdentity | null, shards: number): Finding {
  if (identity === null) return ok('system', 'none yet: the first coordinator sets it up');
  if (identity.schema !== STORE_SCHEMA) {
    const advice = 'run the version that wrote it, or use another REDIS_KEY_PREFIX';
    return fail('system', `schema ${identity.schema}, this version works with ${STORE_SCHEMA}`, advice);
  }
  if (identity.shards === shards)
    return ok('system', `deployment ${identity.uuid}, ${shards} ${shards === 1 ? 'shard' : 'shards'}`);
  return fail('system', `it has ${identity.shards} shards, SHARDS is ${shards}`, `set SHARDS=${identity.shards}`);
}

async function clockFinding(store: Store): Promise<Finding> {
  const times: number[] = [];
  let offset = 0;
  for (let i = 0; i < PINGS; i++) {
    const sent = systemRuntime.now();
    const now = await store.now();
    const took = systemRuntime.now() - sent;
    times.push(took);
    offset = now - (sent + took / 2);
  }
  const median = times.sort((a, b) => a - b)[Math.floor(PINGS / 2)]!;
  const found = `answers in ${median} ms, its clock is ${Math.round(Math.abs(offset))} ms ${offset < 0 ? 'behind' : 'ahead'}`;
  if (median > PING_SLOW_MS) return warn('redis', found, 'put Redis nearer: every step of a task waits for it');
  if (Math.abs(offset) > CLOCK_OFF_MS) return warn('redis', found, 'harmless, but logs are hard to compare: run NTP');
  return ok('redis', found);
}

async function fleetFindings(store: Store, { shards }: StoreIdentity): Promise<Finding[]> {
  const { now, instances } = await store.instances();
  // A process with all roles is one instance, and its workers are others beside it.
  const count = (role: string) =>
    instances.filter((one) => one.role === role || (one.role === 'all' && role !== 'worker')).length;
  const roles = ['coordinator', 'distributor', 'worker'] as const;
  const running = roles.map((role) => `${count(role)} ${role}${count(role) === 1 ? '' : 's'}`).join(', ');
  const missing = roles.filter((role) => count(role) === 0);
  const owners = await Promise.all(Array.from({ length: shards }, (_, shard) => store.owner(shard)));
  const unowned = owners.filter((owner) => owner === null || owner.until === null || owner.until < now).length;
  const findings = [ok('instances', running)];
  for (const role of missing) {
    findings.push(warn('instances', `no ${role} is registered`, `start one: agent-system --role ${role}`));
  }
  if (unowned > 0 && count('coordinator') > 0) {
    findings.push(warn('owners', `${unowned} of ${shards} shards have no owner`, 'see the log of the coordinators'));
  }
  return findings;
}

async function withinWait<T>(work: Promise<T>): Promise<T> {
  const stop = new AbortController();
  const late = pause(systemRuntime, STORE_WAIT_MS, stop.signal).then((): never => {
    throw new AgentSystemError('STORE_UNAVAILABLE', `it did not answer within ${STORE_WAIT_MS / 1_000} s`);
  });
  late.catch(() => undefined);
  try {
    return await Promise.race([work, late]);
  } finally {
    stop.abort();
  }
}

function textOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

function ok(check: string, found: string): Finding {
  return { check, state: 'ok', found };
}

function warn(check: string, found: string, advice?: string): Finding {
  return advice === undefined ? { check, state: 'warn', found } : { check, state: 'warn', found, advice };
}

function fail(check: string, found: string, advice?: string): Finding {
  return { ...warn(check, found, advice), state: 'fail' };
}
