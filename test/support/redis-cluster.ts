/** Real redis-servers that form a cluster: masters that share the slots, each with as many replicas as are wanted. */
import { Redis } from 'ioredis';
import { freePort, type RedisServer, startRedis } from './redis-server.ts';

const SLOTS = 16_384;
const FORMED_MS = 15_000;

export interface RedisCluster {
  /** Masters first. */
  readonly servers: readonly RedisServer[];
  readonly places: readonly { host: string; port: number }[];
  /** Asks one node. */
  call(node: number, name: string, ...args: (string | number)[]): Promise<unknown>;
  /** Which of the masters served this key when the cluster was formed. */
  masterOf(key: string): Promise<number>;
  stop(): Promise<void>;
}

/** @param settings configuration of every node, as on the command line */
export async function startCluster(masters: number, replicas: number, ...settings: string[]): Promise<RedisCluster> {
  const busPorts = await Promise.all(Array.from({ length: masters * (1 + replicas) }, freePort));
  const own = ['--cluster-enabled', 'yes', '--cluster-node-timeout', '1000', '--cluster-require-full-coverage', 'no'];
  const start = (port: number) => startRedis(...own, '--cluster-port', String(port), ...settings);
  const servers = await Promise.all(busPorts.map(start));
  const call = (node: number, name: string, ...args: (string | number)[]) => callOne(servers[node]!.port, name, args);
  const range = (master: number) => Math.floor((master * SLOTS) / masters);
  for (let n = 0; n < masters; n++) await call(n, 'CLUSTER', 'ADDSLOTSRANGE', range(n), range(n + 1) - 1);
  for (let n = 1; n < servers.length; n++)
    await call(n, 'CLUSTER', 'MEET', '127.0.0.1', servers[0]!.port, busPorts[0]!);
  await formed(servers, call);
  const ids = (await Promise.all(servers.map((_, n) => call(n, 'CLUSTER', 'MYID')))) as string[];
  for (let n = masters; n < servers.length; n++) await call(n, 'CLUSTER', 'REPLICATE', ids[n % masters]!);
  if (replicas > 0) await replicated(servers.slice(masters));
  return {
    servers,
    places: servers.map(({ port }) => ({ host: '127.0.0.1', port })),
    call,
    masterOf: async (key) => {
      const slot = Number(await call(0, 'CLUSTER', 'KEYSLOT', key));
      return servers.findIndex((_, n) => slot >= range(n) && slot < range(n + 1));
    },
    stop: async () => {
      await Promise.all(servers.map((server) => server.stop()));
    },
  };
}

/** Until every node knows every other one and all slots. */
async function formed(servers: readonly RedisServer[], call: RedisCluster['call']): Promise<void> {
  await until('the cluster is formed', async () => {
    const infos = await Promise.all(servers.map((_, n) => call(n, 'CLUSTER', 'INFO')));
    return infos.every((info) => {
      const known = `cluster_known_nodes:${servers.length}\r`;
      return String(info).includes('cluster_state:ok') && String(info).includes(known);
    });
  });
}

async function replicated(replicas: readonly RedisServer[]): Promise<void> {
  await until('the replicas follow their masters', async () => {
    const infos = await Promise.all(replicas.map(({ port }) => callOne(port, 'INFO', ['replication'])));
    return infos.every((info) => String(info).includes('master_link_status:up'));
  });
}

async function until(what: string, look: () => Promise<boolean>): Promise<void> {
  const end = Date.now() + FORMED_MS;
  while (!(await look().catch(() => false))) {
    if (Date.now() > end) throw new Error(`not within ${FORMED_MS} ms: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

async function callOne(port: number, name: string, args: (string | number)[]): Promise<unknown> {
  const client = new Redis({ port, host: '127.0.0.1', retryStrategy: () => null });
  client.on('error', () => {
    // The command that could not be carried out says so itself.
  });
  try {
    return await client.call(name, args);
  } finally {
    client.disconnect();
  }
}
