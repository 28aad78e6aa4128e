/*
 * Where Redis is and how to get in: one server, the master that sentinels name, or the nodes of a cluster. User,
 * password and TLS are the same on every road.
 */
import type { ConnectionOptions } from 'node:tls';

/** One server as the network knows it. */
export interface Place {
  host: string;
  port: number;
}

export interface RedisAddress {
  /** `redis://user:password@host:port/db`, `rediss://` for TLS; the single fields win over it. */
  url?: string | null;
  /** Default: 127.0.0.1 */
  host?: string;
  /** Default: 6379 */
  port?: number;
  /** Default: 0 */
  db?: number;
  username?: string | null;
  password?: string | null;
  /** PEM texts; null = no TLS. */
  tls?: { verify: boolean; ca?: string | null; cert?: string | null; key?: string | null } | null;
  /** The master is whom these name; host and port mean nothing then. TLS, where it is on, goes for them too. */
  sentinel?: SentinelAddress | null;
  /** Some nodes of a cluster, which name the others; host, port and db mean nothing then. */
  cluster?: { nodes: readonly Place[] } | null;
}

export interface SentinelAddress {
  nodes: readonly Place[];
  masterName: string;
  username?: string | null;
  password?: string | null;
}

export interface Endpoint extends Place {
  db: number;
  username: string | null;
  password: string | null;
  tls: ConnectionOptions | null;
}

/** `host:port`, with brackets where the host has colons. */
export function textOf({ host, port }: Place): string {
  return host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`;
}

/** For messages: what was to be reached, without any secret. */
export function placeOf(address: RedisAddress): string {
  const { sentinel, cluster } = address;
  if (sentinel) return `master "${sentinel.masterName}" by sentinels ${sentinel.nodes.map(textOf).join(', ')}`;
  if (cluster) return `cluster ${cluster.nodes.map(textOf).join(', ')}`;
  return textOf(endpointOf(address));
}

export function endpointOf(address: RedisAddress): Endpoint {
  const url = address.url ? new URL(address.url) : null;
  const secure = address.tls ?? (url?.protocol === 'rediss:' ? { verify: true } : null);
  const host = address.host ?? (url?.hostname.replace(/^\[(.*)\]$/, '$1') || '127.0.0.1');
  return {
    host,
    port: address.port ?? Number(url?.port || 6_379),
    db: address.db ?? Number(url?.pathname.slice(1) || 0),
    username: address.username ?? (decodeURIComponent(url?.username ?? '') || null),
    password: address.password ?? (decodeURIComponent(url?.password ?? '') || null),
    tls: secure && tlsOptions(secure, host),
  };
}

/** The same ways in, at one server. */
export function addressAt(address: RedisAddress, { host, port }: Place): RedisAddress {
  return { ...address, host, port, sentinel: null, cluster: null, ...(address.cluster ? { db: 0 } : {}) };
}

function tlsOptions({ verify, ca, cert, key }: NonNullable<RedisAddress['tls']>, host: string): ConnectionOptions {
  return {
    rejectUnauthorized: verify,
    ...(ca ? { ca } : {}),
    ...(cert ? { cert } : {}),
    ...(key ? { key } : {}),
    // A name, not an address, may be asked for (RFC 6066).
    ...(/^[\d.]+$|:/.test(host) ? {} : { servername: host }),
  };
}
