/*
 * The HTTP server of a process: limits, access, bodies and errors for all routes alike. It knows nothing of tasks; the
 * routes call the services, which check what they are given.
 */

import type { Server } from 'node:http';
import type { Server as SecureServer } from 'node:https';
import type { AddressInfo, Socket } from 'node:net';
import {
  type FastifyHttpOptions,
  type FastifyInstance,
  type FastifyReply,
  type FastifyRequest,
  fastify,
  type InjectOptions,
} from 'fastify';
import { AgentSystemError } from '../errors.ts';
import type { Runtime } from '../runtime/runtime.ts';
import type { Caller } from '../service/caller.ts';
import { type Access, createGuard } from './auth.ts';
import { bodyLimits, checkEncoding, DEPTH_MAX, readJson } from './body.ts';
import { certificateFault } from './client-certificate.ts';
import type { ApiContext, CoordinatorServices } from './context.ts';
import { describeApi, openApiRoute } from './docs/openapi.ts';
import { errorReplyOf, fromFramework, rawReplyTo } from './errors.ts';
import { RouteTable } from './not-found.ts';
import { limitRates } from './rate-limit.ts';
import { bulkRoutes } from './routes/bulk.ts';
import { eventRoutes } from './routes/events.ts';
import { fleetControlRoutes, fleetRoutes } from './routes/fleet.ts';
import { scheduleRoutes } from './routes/schedules.ts';
import { snapshotRoutes } from './routes/snapshot.ts';
import { systemRoutes } from './routes/system.ts';
import { taskRoutes } from './routes/tasks.ts';
import { whyRoutes } from './routes/why.ts';
import { EventStreams } from './sse.ts';
import { type ServerTls, tlsOptions } from './tls.ts';
import { Waits } from './waits.ts';

/** Milliseconds after which the server gives up on a client. Node and fastify have no bound for most of them. */
export interface ServerTimes {
  /** From the first byte of a request to the end of its headers. */
  headers: number;
  /** From the first byte of a request to its last; long enough for a large batch on a slow line. */
  request: number;
  /** A connection on which nothing moves; longer than the longest wait for a result, which is silent meanwhile. */
  silence: number;
  /** An idle connection is kept for so long: more than the minute after which usual load balancers close theirs. */
  keepAlive: number;
  /** How often the first two are looked at. */
  check: number;
  /** Requests under way get so long when the server closes. */
  close: number;
}

const TIMES: ServerTimes = {
  headers: 15_000,
  request: 120_000,
  silence: 330_000,
  keepAlive: 72_000,
  check: 5_000,
  close: 3_000,
};

const CONNECTIONS_MAX = 20_000;
/** A path's parameter; what is longer cannot be the name of anything here. */
const PARAMETER_LENGTH_MAX = 256;

declare module 'fastify' {
  interface FastifyContextConfig {
    /** Who may call the route; `admin` where nothing is said, so that what was forgotten is closed. */
    access?: Access;
    /** How deep the JSON of a body may be nested. */
    depthMax?: number;
  }
  interface FastifyRequest {
    /** Who asks; set before anything of the route runs. */
    caller: Caller;
    /** Whether the caller would be let in now as it was then. For answers that go on long after they began. */
    stillMay(): Promise<boolean>;
  }
}

export interface Api {
  /**
   * Listens; port 0 takes a free one. Rejects with the `code` EADDRINUSE (or EACCES) when it cannot, and may be called
   * again with another port then.
   */
  listen(place: { host: string; port: number }): Promise<{ url: string; port: number }>;
  /** Takes no new requests, lets those under way finish for a short while, answers those that wait with what there is. */
  close(): Promise<void>;
  /** From the next connection on, another certificate or other authorities. Connections that are idle are closed. */
  replaceTls(tls: ServerTls): void;
  /** Calls a route without a network, for tests. */
  inject(request: InjectOptions): Promise<{ statusCode: number; headers: Record<string, unknown>; body: string }>;
}

export function createApi(context: ApiContext, changed: Partial<ServerTimes> = {}): Api {
  const times = { ...TIMES, ...changed };
  const waits = new Waits();
  const streams = new EventStreams(context);
  const state: ServerState = { closing: false, underWay: 0 };
  const app = createServer(context, times, state);
  const endAll = connectionsOf(app.server);
  if (context.rateLimit) limitRates(app, context.rateLimit);
  describeApi(app);
  // Once the plugins are there: they see only the routes that come after them.
  app.after(() => {
    openApiRoute(app);
    systemRoutes(app, context);
    if (context.tasks) taskRoutes(app, context.tasks, context, waits);
    if (context.cluster) fleetRoutes(app, context.cluster);
    if (context.services) serviceRoutes(app, context, context.services, streams);
    if (context.schedules) scheduleRoutes(app, context.schedules);
  });
  return {
    listen: async ({ host, port }) => {
      await app.listen({ host, port });
      const address = app.server.address() as AddressInfo;
      return { port: address.port, url: `${context.tls ? 'https' : 'http'}://${reachable(host)}:${address.port}` };
    },
    close: async () => {
      state.closing = true;
      waits.end();
      streams.end();
      const stop = hangUp(endAll, context.runtime, { withinMs: times.close, state });
      await app.close().finally(stop);
    },
    replaceTls: (tls) => {
      (app.server as unknown as SecureServer).setSecureContext(tlsOptions(tls));
      app.server.closeIdleConnections();
    },
    inject: async (request) => app.inject(request),
  };
}

function serviceRoutes(
  app: FastifyInstance,
  context: ApiContext,
  { events, why, bulk, history, fleet, snapshots }: CoordinatorServices,
  streams: EventStreams,
): void {
  eventRoutes(app, events, streams);
  whyRoutes(app, why, history);
  fleetControlRoutes(app, fleet);
  snapshotRoutes(app, snapshots, context.observe);
  if (context.tasks) bulkRoutes(app, bulk, context.tasks, context);
}

interface ServerState {
  closing: boolean;
  /** Requests whose headers came and whose answer has not been handed over. */
  underWay: number;
}

const LOOK_EVERY_MS = 10;

/**
 * Ends what is left of the connections as soon as no request is under way, at the latest after `withinMs`. Node closes
 * those that are idle after a request; those on which none came yet (browsers open some in advance) would stay.
 */
function hangUp(
  endAll: () => void,
  runtime: Runtime,
  { withinMs, state }: { withinMs: number; state: ServerState },
): () => void {
  const until = runtime.now() + withinMs;
  let cancel = () => {};
  const look = () => {
    if (state.underWay === 0 || runtime.now() >= until) endAll();
    cancel = runtime.after(LOOK_EVERY_MS, look);
  };
  look();
  return () => cancel();
}

/** Answers how to end every connection; also those on which TLS is still being agreed on, which the server does not know yet. */
function connectionsOf(server: Server): () => void {
  const sockets = new Set<Socket>();
  server.on('connection', (socket: Socket) => {
    sockets.add(socket);
    socket.once('close', () => sockets.delete(socket));
  });
  return () => {
    server.closeAllConnections();
    for (const socket of sockets) socket.destroy();
  };
}

function createServer(context: ApiContext, times: ServerTimes, state: ServerState): FastifyInstance {
  const routes = new RouteTable({ servesTasks: context.tasks !== null });
  const answer = answerErrors(context);
  const http = { headersTimeout: times.headers, connectionsCheckingInterval: times.check };
  const options: FastifyHttpOptions<Server> = {
    bodyLimit: bodyLimits(context.limits).single,
    requestTimeout: times.request,
    connectionTimeout: times.silence,
    keepAliveTimeout: times.keepAlive,
    http,
    trustProxy: context.trustProxy?.length ? [...context.trustProxy] : false,
    // The framework would answer in a shape of its own; the hook below answers in ours.
    return503OnClosing: false,
    routerOptions: { maxParamLength: PARAMETER_LENGTH_MAX },
    frameworkErrors: answer,
    clientErrorHandler: answerRaw,
  };
  // Over TLS it is the same to all routes; only the type of its server differs.
  const secure = context.tls ? { https: { ...http, ...tlsOptions(context.tls) } } : {};
  const app = fastify({ ...options, ...secure }) as FastifyInstance;
  app.decorateRequest('caller');
  const door = doorOf(context);
  app.decorateRequest('stillMay', function stillMay(this: FastifyRequest) {
    return isSameCaller(this, door);
  });
  app.server.maxConnections = CONNECTIONS_MAX;
  app.addHook('onRoute', ({ url, method }) => routes.add(url, method));
  app.addHook('onRequest', begin(state, door));
  app.removeAllContentTypeParsers();
  app.addContentTypeParser('application/json', { parseAs: 'buffer' }, readBody);
  app.setErrorHandler(answer);
  app.setNotFoundHandler((request, reply) => {
    const { error, allow } = routes.whyNot(request.method, request.url);
    if (allow) reply.header('allow', allow);
    answer(error, request, reply);
  });
  return app;
}

type Done = (error?: Error) => void;

/** Who calls, by certificate and key. Throws or rejects where nobody who may. */
type Door = (request: FastifyRequest, again?: boolean) => Caller | Promise<Caller>;

function doorOf(context: ApiContext): Door {
  const { access: parts, runtime, observe } = context;
  const onRefused = (reason: string, { method, routeOptions, ip }: FastifyRequest) =>
    observe({ type: 'access.refused', where: `${method} ${routeOptions.url ?? '?'}`, address: ip, reason });
  const guard = createGuard({ parts, now: runtime.now, onRefused });
  const mutual = typeof context.tls?.ca === 'string';
  return (request, again) => {
    const access = accessOf(request);
    const fault = mutual && access !== 'open' ? certificateFault(request.raw.socket, runtime.now()) : null;
    if (fault === null) return guard(access, request, again);
    onRefused(`client certificate: ${fault}`, request);
    throw certificateRefused(fault);
  };
}

async function isSameCaller(request: FastifyRequest, door: Door): Promise<boolean> {
  const { name, tenant } = request.caller;
  try {
    const now = await door(request, true);
    return now.name === name && now.tenant === tenant;
  } catch {
    return false;
  }
}

function begin(state: ServerState, door: Door) {
  // Told of every end of a request, also when the client broke off, which the framework's own hook is not.
  const left = () => {
    state.underWay -= 1;
  };
  return (request: FastifyRequest, reply: FastifyReply, done: Done) => {
    reply.header('cache-control', 'no-store').header('x-content-type-options', 'nosniff');
    state.underWay += 1;
    reply.raw.once('close', left);
    if (state.closing) {
      return done(new AgentSystemError('SHUTTING_DOWN', 'this process is shutting down, ask another one'));
    }
    const known = (caller: Caller) => {
      request.caller = caller;
      done();
    };
    try {
      const caller = door(request);
      if (caller instanceof Promise) caller.then(known, done);
      else known(caller);
    } catch (error) {
      done(error as Error);
    }
  };
}

function certificateRefused(fault: string): AgentSystemError {
  const message = `wanted a client certificate of this system: ${fault}`;
  return new AgentSystemError('UNAUTHORIZED', message, { details: { wanted: 'certificate' } });
}

/** Whether there is anything at a path is told to every caller whom we know, and to nobody else. */
function accessOf({ is404, routeOptions }: FastifyRequest): Access {
  return is404 ? 'tasks:read' : (routeOptions.config.access ?? 'admin');
}

function readBody(request: FastifyRequest, bytes: Buffer, done: (error: Error | null, body?: unknown) => void): void {
  try {
    checkEncoding(request.headers);
    done(null, readJson(bytes, request.routeOptions.config.depthMax ?? DEPTH_MAX));
  } catch (error) {
    done(error as Error);
  }
}

function answerErrors({ observe }: ApiContext) {
  return (failure: unknown, request: FastifyRequest, reply: FastifyReply): void => {
    const error = fromFramework(failure, request.routeOptions.bodyLimit ?? 0);
    const { status, body, retryAfterS } = errorReplyOf(error);
    if (status === 500)
      observe({ type: 'fault', where: `${request.method} ${request.routeOptions.url ?? 'HTTP'}`, error });
    if (status === 401) reply.header('www-authenticate', 'Bearer');
    if (retryAfterS !== undefined) reply.header('retry-after', retryAfterS);
    reply.code(status).send(body);
  };
}

function answerRaw(error: Error & { code?: string }, socket: Socket): void {
  // Who speaks no TLS, or breaks it off, could not read an answer.
  const noTls = error.code?.startsWith('ERR_SSL') || error.code?.startsWith('ERR_TLS');
  if (noTls || error.code === 'ECONNRESET' || !socket.writable) return void socket.destroy();
  socket.end(rawReplyTo(error));
}

/** A wildcard is no address to call: on this host the loopback one answers for it. */
function reachable(host: string): string {
  if (host === '0.0.0.0' || host === '') return '127.0.0.1';
  if (host === '::') return '[::1]';
  return host.includes(':') ? `[${host}]` : host;
}
