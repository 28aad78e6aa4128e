import type { Connection } from './connect.ts';
import { escapeGlob } from './keys.ts';

const SCAN_KEYS = 1_000;
/** A whole walk through a billion keys; SCAN itself ends when it has seen all. */
const ROUNDS_MAX = 1_000_000;

/**
 * Removes every key of a system with this prefix, of all its shards and of no other prefix, also none that only begins
 * alike. The memory is given back in the background (UNLINK), so that others on the same server do not wait.
 *
 * @returns how many keys there were
 */
export async function removePrefix(connection: Pick<Connection, 'call'>, prefix: string): Promise<number> {
  const pattern = `{${escapeGlob(prefix)}:*`;
  let removed = 0;
  let cursor = '0';
  for (let round = 0; round < ROUNDS_MAX; round++) {
    const reply = await connection.call('scan', [cursor, 'MATCH', pattern, 'COUNT', SCAN_KEYS]);
    const [next, keys] = reply as [string, string[]];
    if (keys.length > 0) removed += Number(await connection.call('unlink', keys));
    if (next === '0') return removed;
    cursor = next;
  }
  return removed;
}
