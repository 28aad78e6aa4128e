import { Readable } from 'node:stream';
import type { FastifyInstance } from 'fastify';
import { z } from 'zod';
import { AgentSystemError } from '../../errors.ts';
import type { Observe } from '../../runtime/observer.ts';
import type { SnapshotService } from '../../snapshot/snapshot-service.ts';
import { noQuery, readQuery } from '../query.ts';

export const SNAPSHOT_TYPE = 'application/x-ndjson';
/** Characters that are handed on together. */
const PIECE_LENGTH = 64 * 1024;

export const restoreQuery = z.object({ force: z.enum(['true', 'false']).optional() });

/** The whole system to a stream of lines and back. */
export function snapshotRoutes(app: FastifyInstance, snapshots: SnapshotService, observe: Observe): void {
  // Without HEAD, which would have all of it read for nothing.
  app.get('/v1/snapshot', { exposeHeadRoute: false, config: { access: 'admin' } }, async ({ query }, reply) => {
    readQuery(query, noQuery);
    const stopped = new AbortController();
    reply.raw.once('close', () => stopped.abort(new Error('the client is gone')));
    const pieces = inPieces(snapshots.take(stopped.signal));
    // What fails before the first line is an ordinary answer; later the missing end line tells.
    const first = await pieces.next();
    reply.type(SNAPSHOT_TYPE).header('content-disposition', 'attachment; filename="snapshot.ndjson"');
    return reply.send(Readable.from(rest(first, pieces, observe)));
  });

  // In a scope of its own: elsewhere a body of this type is refused, and here one of another is.
  app.register(async (scope) => {
    scope.removeAllContentTypeParsers();
    scope.addContentTypeParser(SNAPSHOT_TYPE, (_request, body, done) => done(null, body));
    scope.addContentTypeParser('*', (_request, _body, done) => done(notNdjson()));
    scope.post('/v1/snapshot/restore', { config: { access: 'admin' } }, async ({ query, body }) => {
      const { force } = readQuery(query, restoreQuery);
      if (!(body instanceof Readable)) {
        throw new AgentSystemError('BAD_REQUEST', `the body is empty: a snapshot is wanted, as ${SNAPSHOT_TYPE}`);
      }
      return snapshots.restore(whole(body), { force: force === 'true' });
    });
  });
}

/** A write for each line would cost more than the line. */
async function* inPieces(lines: AsyncGenerator<string>): AsyncGenerator<string> {
  let piece = '';
  for await (const line of lines) {
    piece += line;
    if (piece.length < PIECE_LENGTH) continue;
    yield piece;
    piece = '';
  }
  if (piece !== '') yield piece;
}

async function* rest(first: IteratorResult<string>, pieces: AsyncGenerator<string>, observe: Observe) {
  try {
    if (!first.done) yield first.value;
    yield* pieces;
  } catch (error) {
    observe({ type: 'fault', where: 'GET /v1/snapshot', error });
    throw error;
  } finally {
    await pieces.return(undefined);
  }
}

/** A client that breaks off is no fault of ours. */
async function* whole(body: Readable): AsyncGenerator<Uint8Array> {
  try {
    yield* body;
  } catch (cause) {
    throw new AgentSystemError('BAD_REQUEST', 'the request was broken off before all of the snapshot had come', {
      cause,
    });
  }
}

function notNdjson(): AgentSystemError {
  return new AgentSystemError('UNSUPPORTED_MEDIA_TYPE', `a snapshot is sent with Content-Type: ${SNAPSHOT_TYPE}`);
}
