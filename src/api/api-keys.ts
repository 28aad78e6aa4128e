import { createHash, timingSafeEqual } from 'node:crypto';
import { AgentSystemError } from '../errors.ts';
import type { Caller, Scope } from '../service/caller.ts';

export interface ApiKey {
  name: string;
  /** SHA-256 of the key, 64 hexadecimal digits. */
  hash: string;
  scopes: readonly Scope[];
  /** Null = all tenants. */
  tenant: string | null;
  /** Milliseconds; null = never. */
  expiresAt: number | null;
}

interface Holder {
  digest: Buffer;
  caller: Caller;
  expiresAt: number;
}

/**
 * The keys that callers may show. A key is found by its digest: how long that takes can at most tell how much of a digest
 * was the same, and nobody can make up a key whose digest begins as they wish. The last word has a comparison in constant
 * time.
 */
export class ApiKeys {
  #holders = new Map<string, Holder>();

  constructor(keys: readonly ApiKey[] = []) {
    this.replace(keys);
  }

  get size(): number {
    return this.#holders.size;
  }

  /** From now on these are the keys, and no others. */
  replace(keys: readonly ApiKey[]): void {
    this.#holders = new Map(keys.map((key) => [key.hash, holderOf(key)]));
  }

  /**
   * Whose key has this digest; null: it is none of them.
   * @throws UNAUTHORIZED for one that has expired
   */
  find(digest: Buffer, now: number): Caller | null {
    const holder = this.#holders.get(digest.toString('hex'));
    if (!holder || !timingSafeEqual(holder.digest, digest)) return null;
    if (now < holder.expiresAt) return holder.caller;
    throw new AgentSystemError('UNAUTHORIZED', 'the key has expired');
  }
}

/** SHA-256, 32 bytes. */
export function digestOf(key: string): Buffer {
  return createHash('sha256').update(key).digest();
}

function holderOf({ name, hash, scopes, tenant, expiresAt }: ApiKey): Holder {
  return {
    digest: Buffer.from(hash, 'hex'),
    caller: { name, tenant, scopes: new Set(scopes) },
    expiresAt: expiresAt ?? Number.POSITIVE_INFINITY,
  };
}
