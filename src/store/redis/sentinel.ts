/*
 * The master by its sentinels. They are asked anew before every connection, each in turn and not for long, so that a
 * connection which comes back after a failover finds the new master. The client library can do this too, but keeps to
 * itself why it found none: a name that no sentinel knows looks like sentinels that are away.
 */
import { connect as connectPlain, Socket } from 'node:net';
import { connect as connectSecure } from 'node:tls';
import { AbstractConnector, Redis } from 'ioredis';
import { AgentSystemError } from '../../errors.ts';
import { addressAt, endpointOf, type Place, type RedisAddress, type SentinelAddress, textOf } from './address.ts';
import { adviceFor } from './faults.ts';

/** A sentinel that has not answered for so long is passed over. */
const ANSWER_WITHIN_MS = 1_000;

/** Makes the client's connections: to whom the sentinels name at that moment. */
export function masterConnector(
  address: RedisAddress & { sentinel: SentinelAddress },
): new (
  options: unknown,
) => AbstractConnector {
  let turn = 0;
  return class extends AbstractConnector {
    constructor() {
      super(ANSWER_WITHIN_MS);
    }

    async connect(): Promise<Socket> {
      this.connecting = true;
      try {
        const place = await askSentinels(address, turn);
        if (!this.connecting) throw new Error('Connection is closed.');
        const { tls } = endpointOf(addressAt(address, place));
        const stream = tls ? connectSecure({ ...tls, ...place }) : connectPlain(place);
        stream.once('error', (error: Error) => {
          this.firstError = error;
        });
        this.stream = stream;
      } catch (error) {
        this.firstError = error as Error;
        // A stream that is closed already makes the client try again after its usual pause; a rejection would end it.
        this.stream = new Socket().destroy();
      }
      return this.stream as Socket;
    }

    /** A sentinel that was cut off still names the old master: then another one is asked first. */
    override check(info: { role?: string }): boolean {
      if (!info.role || info.role === 'master') return true;
      turn += 1;
      return false;
    }
  };
}

/**
 * @throws AgentSystemError `STORE_MISCONFIGURED` when those that answer do not know the name, else the last failure
 */
async function askSentinels(address: RedisAddress & { sentinel: SentinelAddress }, turn: number): Promise<Place> {
  const { nodes, masterName } = address.sentinel;
  let failure: Error | null = null;
  for (let n = 0; n < nodes.length; n++) {
    const place = nodes[(turn + n) % nodes.length]!;
    try {
      return await askOne(address, place);
    } catch (error) {
      // One that lets nobody in, or knows nothing of the name, says more than one that is away.
      if (failure === null || !saysMore(failure)) failure = error as Error;
    }
  }
  throw failure ?? new Error(`there are no sentinels to ask for "${masterName}"`);
}

function saysMore(failure: Error): boolean {
  return failure instanceof AgentSystemError || adviceFor(failure) !== null;
}

async function askOne(address: RedisAddress & { sentinel: SentinelAddress }, place: Place): Promise<Place> {
  const { masterName, username, password } = address.sentinel;
  const { tls } = endpointOf(addressAt(address, place));
  const sentinel = new Redis({
    ...place,
    username: username ?? undefined,
    password: password ?? undefined,
    ...(tls ? { tls } : {}),
    protocol: 2,
    connectionName: 'agent-system:sentinel',
    connectTimeout: ANSWER_WITHIN_MS,
    commandTimeout: ANSWER_WITHIN_MS,
    retryStrategy: () => null,
    enableReadyCheck: false,
    lazyConnect: true,
  });
  let why: Error | null = null;
  sentinel.on('error', (error: Error) => {
    why ??= error;
  });
  try {
    await sentinel.connect();
    const found = (await sentinel.call('sentinel', ['get-master-addr-by-name', masterName])) as [string, string] | null;
    if (found) return { host: found[0], port: Number(found[1]) };
    throw unknownName(masterName, await namesOf(sentinel), textOf(place));
  } catch (error) {
    throw error instanceof AgentSystemError ? error : ofSentinel(why ?? (error as Error), textOf(place));
  } finally {
    sentinel.disconnect();
  }
}

async function namesOf(sentinel: Redis): Promise<string[]> {
  const masters = (await sentinel.call('sentinel', ['masters']).catch(() => [])) as string[][];
  return masters.map((flat) => flat[flat.indexOf('name') + 1] ?? '?').sort();
}

function unknownName(wanted: string, known: string[], sentinel: string): AgentSystemError {
  const names = known.length > 0 ? `it knows ${known.map((name) => `"${name}"`).join(', ')}` : 'it knows no master';
  return new AgentSystemError(
    'STORE_MISCONFIGURED',
    `the sentinel ${sentinel} knows no master "${wanted}" (${names}): set REDIS_MASTER_NAME to one of its names`,
  );
}

/** Keeps code and system call, by which a failure is recognised. */
function ofSentinel(error: Error, sentinel: string): Error {
  error.message = `sentinel ${sentinel}: ${error.message}`;
  return error;
}
