import { AgentSystemError } from '../../errors.ts';

/** The place of a stream entry: milliseconds of the store's clock, and a sequence within them. */
export interface StreamId {
  readonly ms: number;
  readonly seq: number;
}

export const STREAM_START: StreamId = { ms: 0, seq: 0 };

/** The id that follows `last` at `now`: always greater, even when it was made in the same millisecond. */
export function nextStreamId(last: StreamId, now: number): StreamId {
  return now > last.ms ? { ms: now, seq: 0 } : { ms: last.ms, seq: last.seq + 1 };
}

export function formatStreamId(id: StreamId): string {
  return `${id.ms}-${id.seq}`;
}

/** Reads `milliseconds-sequence`; the sequence may be missing and is then 0. */
export function parseStreamId(text: string): StreamId {
  const match = /^(\d{1,16})(?:-(\d{1,16}))?$/.exec(text);
  if (!match) {
    throw new AgentSystemError(
      'STREAM_ID_MALFORMED',
      `"${text.slice(0, 40)}" is not the id of a stream entry: wanted milliseconds-sequence, such as 1700000000000-0`,
    );
  }
  return { ms: Number(match[1]), seq: Number(match[2] ?? 0) };
}

export function isBehind(a: StreamId, b: StreamId): boolean {
  return a.ms > b.ms || (a.ms === b.ms && a.seq > b.seq);
}
