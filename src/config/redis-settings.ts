/**
 * Which Redis is meant. `REDIS_URL` says most; what it leaves open, the single settings may fill in. Where both speak
 * and differ, nobody can know which one is meant, so that is refused. Sentinels or a cluster say where the servers are
 * themselves: no URL, host or port stands beside them, while user, password and TLS have their settings as ever.
 */
import type { Settings } from './schema.ts';
import { isPlaceholder } from './secrets.ts';
import { codeOf, quoted, type ReadSettings } from './sources.ts';

export interface RedisConfig {
  host: string;
  port: number;
  db: number;
  username: string | null;
  password: string | null;
  /** PEM texts; null = no TLS. */
  tls: { verify: boolean; ca: string | null; cert: string | null; key: string | null } | null;
  /** Who knows the master; host and port mean nothing then. */
  sentinel: { nodes: Place[]; masterName: string; username: string | null; password: string | null } | null;
  /** Some nodes of a cluster; host and port mean nothing then. */
  cluster: { nodes: Place[] } | null;
  keyPrefix: string;
  maxConnections: number;
  requireAof: boolean;
  /** The reason given for starting on a Redis that may lose tasks; null = refuse such a one. */
  allowUnsafe: string | null;
  /** Of writes of a durability above `memory`. */
  wait: { replicas: number; timeoutMs: number };
}

interface Place {
  host: string;
  port: number;
}

/** Any of these means that there is a Redis; the rest only say how to treat it. */
const ADDRESS_SETTINGS = [
  'REDIS_URL',
  'REDIS_HOST',
  'REDIS_PORT',
  'REDIS_DB',
  'REDIS_USERNAME',
  'REDIS_PASSWORD',
  'REDIS_CA_FILE',
  'REDIS_CERT_FILE',
  'REDIS_KEY_FILE',
  'REDIS_SENTINELS',
  'REDIS_MASTER_NAME',
  'REDIS_CLUSTER_NODES',
] as const;

export function wantsRedis({ settings, given }: ReadSettings): boolean {
  if (settings.BROKER !== null) return settings.BROKER === 'redis';
  return settings.REDIS_USE_TLS === true || ADDRESS_SETTINGS.some((name) => given.has(name));
}

/** Parts of an address, as far as it names them. */
interface Address {
  host?: string;
  port?: number;
  db?: number;
  username?: string;
  password?: string;
  tls?: boolean;
}

interface Report {
  refuse: (problem: string) => void;
  warn: (warning: string) => void;
}

export function readRedis(settings: Settings, readFile: (path: string) => string, report: Report): RedisConfig {
  const url = settings.REDIS_URL === null ? {} : parseUrl('REDIS_URL', settings.REDIS_URL, report);
  const host = settings.REDIS_HOST === null ? {} : parseHost(settings.REDIS_HOST, report);
  const own: Address = {
    port: settings.REDIS_PORT ?? undefined,
    db: settings.REDIS_DB ?? undefined,
    username: settings.REDIS_USERNAME ?? undefined,
    password: settings.REDIS_PASSWORD ?? undefined,
    tls: settings.REDIS_USE_TLS ?? undefined,
  };
  const pick = picker(
    [
      ['REDIS_URL', url],
      ['REDIS_HOST', host],
      ['its own setting', own],
    ],
    report.refuse,
  );
  const password = pick('password') ?? null;
  // REDIS_PASSWORD was looked at when it was read; a password within a URL only shows here.
  if (password !== null && password !== settings.REDIS_PASSWORD && isPlaceholder(password))
    report.refuse('The password in the URL of Redis is a placeholder (not shown), wanted the real one');
  return {
    host: pick('host') ?? '127.0.0.1',
    port: pick('port') ?? 6_379,
    db: pick('db') ?? 0,
    username: pick('username') ?? null,
    password,
    ...readServers(settings, pick('db') ?? 0, report),
    tls: readTls(pick('tls') ?? false, settings, readFile, report.refuse),
    keyPrefix: settings.REDIS_KEY_PREFIX,
    maxConnections: settings.REDIS_MAX_CONNECTIONS,
    requireAof: settings.REDIS_REQUIRE_AOF,
    allowUnsafe: settings.ALLOW_UNSAFE_REDIS,
    wait: { replicas: settings.REDIS_WAIT_REPLICAS, timeoutMs: settings.REDIS_WAIT_TIMEOUT },
  };
}

/** Sentinels or a cluster, with what cannot stand beside them. */
function readServers(settings: Settings, db: number, report: Report): Pick<RedisConfig, 'sentinel' | 'cluster'> {
  const { REDIS_SENTINELS: sentinels, REDIS_CLUSTER_NODES: nodes } = settings;
  if (sentinels && nodes)
    report.refuse('REDIS_SENTINELS and REDIS_CLUSTER_NODES are both set: keep the one that says what your Redis is');
  const road = sentinels ? 'REDIS_SENTINELS' : nodes ? 'REDIS_CLUSTER_NODES' : null;
  const others = (['REDIS_URL', 'REDIS_HOST', 'REDIS_PORT'] as const).filter((name) => settings[name] !== null);
  if (road && others.length > 0)
    report.refuse(
      `${others.join(', ')} set beside ${road}: keep one of them. User, password, TLS and database are set by ` +
        'REDIS_USERNAME, REDIS_PASSWORD, REDIS_USE_TLS and REDIS_DB there',
    );
  if (nodes && db !== 0) report.refuse(`REDIS_DB is ${db}, wanted 0: a Redis Cluster has no other database`);
  if (nodes && settings.SHARDS === 1)
    report.warn('SHARDS is 1: one node of the cluster does all the work. Set SHARDS to twice its masters or more');
  return { sentinel: readSentinel(settings, report.refuse), cluster: nodes && { nodes } };
}

function readSentinel(settings: Settings, refuse: Report['refuse']): RedisConfig['sentinel'] {
  const { REDIS_SENTINELS: nodes, REDIS_MASTER_NAME: masterName } = settings;
  const beside = (['REDIS_MASTER_NAME', 'REDIS_SENTINEL_USERNAME', 'REDIS_SENTINEL_PASSWORD'] as const).filter(
    (name) => settings[name] !== null,
  );
  if (nodes === null) {
    if (beside.length > 0) refuse(`${beside.join(', ')} set without REDIS_SENTINELS: set that to their host:port,…`);
    return null;
  }
  if (masterName === null)
    refuse(
      'REDIS_SENTINELS is set without REDIS_MASTER_NAME: set it to the name the sentinels watch, often "mymaster"',
    );
  const { REDIS_SENTINEL_USERNAME: username, REDIS_SENTINEL_PASSWORD: password } = settings;
  return { nodes, masterName: masterName ?? '', username, password };
}

function picker(addresses: [string, Address][], refuse: Report['refuse']) {
  return <K extends keyof Address>(part: K): Address[K] => {
    const [first, ...others] = addresses.filter(([, address]) => address[part] !== undefined);
    const other = others.find(([, address]) => address[part] !== first?.[1][part]);
    if (first && other) refuse(differing(part, first, other));
    return first?.[1][part];
  };
}

/** The values of a password are not shown. */
function differing(part: keyof Address, [a, first]: [string, Address], [b, other]: [string, Address]): string {
  const setting = part === 'tls' ? 'REDIS_USE_TLS' : `REDIS_${part.toUpperCase()}`;
  const named = (name: string, address: Address) => {
    const source = name === 'its own setting' ? setting : name;
    return part === 'password' ? source : `${source} says ${quoted(String(address[part]))}`;
  };
  return `The ${part} of Redis is given twice and differs (${named(a, first)}, ${named(b, other)}): keep one of them`;
}

/** `redis.example.org`, `redis.example.org:6380`, `[::1]:6379`, `::1`, or a whole URL. */
function parseHost(text: string, report: Report): Address {
  if (text.includes('://')) return parseUrl('REDIS_HOST', text, report);
  if (/^[0-9A-Fa-f:.]*:[0-9A-Fa-f:.]*:[0-9A-Fa-f:.]*$/.test(text)) return { host: text };
  const [, bracketed, plain, port] = /^(?:\[([0-9A-Fa-f:.]+)\]|([A-Za-z0-9._-]+))(?::(\d{1,5}))?$/.exec(text) ?? [];
  const host = bracketed ?? plain;
  if (host !== undefined && (port === undefined || Number(port) <= 65_535))
    return port === undefined ? { host } : { host, port: Number(port) };
  report.refuse(`REDIS_HOST is ${shown(text)}, wanted a host, host:port, or a URL such as redis://host:6379/0`);
  return {};
}

function parseUrl(name: string, text: string, report: Report): Address {
  const wanted = 'wanted a URL such as redis://user:password@host:6379/0 or rediss://host:6380';
  const url = /^rediss?:\/\/./i.test(text) && URL.canParse(text) ? new URL(text) : null;
  const db = /^\/?(\d{0,5})$/.exec(url?.pathname ?? '?')?.[1];
  if (!url?.hostname || db === undefined) {
    report.refuse(`${name} is ${shown(text)}, ${wanted}`);
    return {};
  }
  const ignored = [...new Set(url.searchParams.keys())];
  if (ignored.length > 0) report.warn(`${name} has a query (${ignored.join(', ')}), which has no effect`);
  const address: Address = { host: url.hostname.replace(/^\[(.*)\]$/, '$1') };
  // A plain redis:// leaves TLS to REDIS_USE_TLS rather than forbidding it.
  if (url.protocol === 'rediss:') address.tls = true;
  if (url.port !== '') address.port = Number(url.port);
  if (db !== '') address.db = Number(db);
  if (url.username !== '') address.username = decoded(url.username);
  if (url.password !== '') address.password = decoded(url.password);
  return address;
}

/** An address may hold a password wherever it has an `@`; a whole URL is better not shown at all. */
function shown(text: string): string {
  return text.includes('@') ? 'not shown, for it may hold a password' : quoted(text);
}

function decoded(part: string): string {
  try {
    return decodeURIComponent(part);
  } catch {
    // A bare % that somebody did not escape stands for itself.
    return part;
  }
}

function readTls(
  on: boolean,
  settings: Settings,
  readFile: (path: string) => string,
  refuse: Report['refuse'],
): RedisConfig['tls'] {
  const files = ['REDIS_CA_FILE', 'REDIS_CERT_FILE', 'REDIS_KEY_FILE'] as const;
  const set = files.filter((name) => settings[name] !== null);
  if (!on) {
    if (set.length > 0) refuse(`${set.join(', ')} set but TLS is off: set REDIS_USE_TLS=true or use a rediss:// URL`);
    return null;
  }
  if ((settings.REDIS_CERT_FILE === null) !== (settings.REDIS_KEY_FILE === null))
    refuse('REDIS_CERT_FILE and REDIS_KEY_FILE belong together: set both or neither');
  const [ca, cert, key] = files.map((name) => readPem(name, settings[name], readFile, refuse));
  return { verify: settings.REDIS_SSL_CERT_REQS !== 'none', ca: ca!, cert: cert!, key: key! };
}

function readPem(
  name: string,
  path: string | null,
  readFile: (path: string) => string,
  refuse: Report['refuse'],
): string | null {
  if (path === null) return null;
  try {
    const pem = readFile(path);
    if (!pem.includes('-----BEGIN ')) refuse(`${name} names ${path}, which is no PEM file (no "-----BEGIN" in it)`);
    return pem;
  } catch (error) {
    refuse(`${name} names ${path}, which cannot be read (${codeOf(error)})`);
    return null;
  }
}
