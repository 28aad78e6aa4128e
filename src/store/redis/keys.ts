import { AgentSystemError } from '../../errors.ts';

/** The beginning of every key of a shard. Its hash tag keeps them in one slot, so one script may touch them all. */
export function tagOf(prefix: string, shard: number): string {
  return `{${prefix}:${shard}}:`;
}

/** `text` as a pattern of SCAN that matches it alone. */
export function escapeGlob(text: string): string {
  return text.replace(/[\\*?[\]^-]/g, '\\$&');
}

/** The first id behind a stream entry: XTRIM MINID keeps what it names. */
export function entryBehind(id: string): string {
  const match = /^(\d{1,16})(?:-(\d{1,16}))?$/.exec(id);
  if (!match) {
    throw new AgentSystemError(
      'STREAM_ID_MALFORMED',
      `"${id.slice(0, 40)}" is not the id of a stream entry: wanted milliseconds-sequence, such as 1700000000000-0`,
    );
  }
  return `${match[1]}-${Number(match[2] ?? 0) + 1}`;
}
