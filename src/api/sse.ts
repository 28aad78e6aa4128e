/*
 * Server-sent events (WHATWG HTML, section 9.2). A stream is drawn from its source only as fast as its client takes it,
 * so there is no queue per client but the socket's own buffer; where a listener stands is its cursor, not our memory. One
 * that takes nothing for long is dropped and comes back by its cursor.
 */
import { once } from 'node:events';
import type { ServerResponse } from 'node:http';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { AgentSystemError } from '../errors.ts';
import type { Observe } from '../runtime/observer.ts';
import type { Runtime } from '../runtime/runtime.ts';
import type { Told } from '../service/event-service.ts';

/** Streams of one process at once. */
export const STREAMS_MAX = 1_000;
/** Of them for one tenant: the others, and the operators, must not be shut out by it. */
export const TENANT_STREAMS_MAX = 500;
/** Below the half minute after which the hastiest proxies take a silent connection for a dead one. */
export const HEARTBEAT_MS = 15_000;
/** A client whose buffer does not empty for so long is dropped. */
export const SLOW_MS = 30_000;
/** How often it is looked at whether a stream's caller may still have it. */
export const RECHECK_MS = 15_000;
/** How long a client that was told of the end gets to take in what is still under way to it. */
const FLUSH_MS = 1_000;
/** What clients are told to wait before they come back. */
const RETRY_MS = 1_000;

export interface StreamTimes {
  heartbeatMs: number;
  slowMs: number;
  recheckMs: number;
}

export interface EventStreamsOptions {
  runtime: Runtime;
  observe: Observe;
  times?: Partial<StreamTimes>;
}

/** All event streams that this process serves. */
export class EventStreams {
  readonly #options: EventStreamsOptions;
  readonly #open = new Map<AbortController, { tenant: string | null }>();
  #ended = false;

  constructor(options: EventStreamsOptions) {
    this.#options = options;
  }

  /**
   * Answers with a stream. `open` is asked before anything is sent, so what it throws becomes an ordinary answer; null =
   * there is nothing more, which 204 tells a browser that would otherwise come back for ever.
   */
  async serve(reply: FastifyReply, open: (signal: AbortSignal) => Promise<AsyncGenerator<Told> | null>): Promise<void> {
    if (this.#ended) throw new AgentSystemError('SHUTTING_DOWN', 'this process is shutting down, ask another one');
    if (this.#open.size >= STREAMS_MAX) {
      throw new AgentSystemError('TOO_MANY_STREAMS', `${STREAMS_MAX} event streams are open here already`);
    }
    const { tenant } = reply.request.caller;
    if (tenant !== null && this.#countOf(tenant) >= TENANT_STREAMS_MAX) {
      const message = `${TENANT_STREAMS_MAX} event streams of tenant ${JSON.stringify(tenant)} are open here already`;
      throw new AgentSystemError('TOO_MANY_STREAMS', message);
    }
    const controller = new AbortController();
    const abort = () => controller.abort();
    reply.raw.once('close', abort);
    this.#open.set(controller, { tenant });
    const unwatch = this.#watch(reply.request, controller);
    try {
      await this.#serve(reply, open, controller);
    } finally {
      unwatch();
      this.#open.delete(controller);
      reply.raw.removeListener('close', abort);
    }
  }

  /** Ends every stream, each once what was on its way is written. */
  end(): void {
    this.#ended = true;
    for (const controller of this.#open.keys()) controller.abort();
  }

  #countOf(tenant: string): number {
    let count = 0;
    for (const one of this.#open.values()) if (one.tenant === tenant) count += 1;
    return count;
  }

  /** A stream outlives what was checked when it began: a key is taken back, a token expires. Then it ends. */
  #watch(request: FastifyRequest, controller: AbortController): () => void {
    const { runtime, times } = this.#options;
    let cancel = () => {};
    const later = () => {
      cancel = runtime.after(times?.recheckMs ?? RECHECK_MS, () => void look());
    };
    const look = async () => {
      if (!(await request.stillMay())) controller.abort();
      else if (!controller.signal.aborted) later();
    };
    later();
    return () => cancel();
  }

  async #serve(
    reply: FastifyReply,
    open: (signal: AbortSignal) => Promise<AsyncGenerator<Told> | null>,
    controller: AbortController,
  ): Promise<void> {
    const events = await open(controller.signal);
    if (events === null) return void reply.code(204).send();
    const { runtime, observe, times } = this.#options;
    begin(reply);
    const writer = new EventWriter(reply.raw, runtime, { heartbeatMs: HEARTBEAT_MS, slowMs: SLOW_MS, ...times });
    try {
      for await (const told of events) if (!(await writer.write(told))) break;
    } catch (error) {
      observe({ type: 'fault', where: 'event stream', error });
    } finally {
      controller.abort();
      writer.end();
    }
  }
}

function begin(reply: FastifyReply): void {
  reply.hijack();
  const headers = Object.entries(reply.getHeaders()).filter(([, value]) => value !== undefined);
  reply.raw.writeHead(200, {
    ...(Object.fromEntries(headers) as Record<string, string>),
    'content-type': 'text/event-stream; charset=utf-8',
    // A proxy that gathers answers would hold events back.
    'x-accel-buffering': 'no',
  });
  reply.raw.write(`retry: ${RETRY_MS}\n\n`);
}

type WriterTimes = Omit<StreamTimes, 'recheckMs'>;

class EventWriter {
  readonly #raw: ServerResponse;
  readonly #runtime: Runtime;
  readonly #times: WriterTimes;
  #cursor = '';
  #cancelHeartbeat = () => {};
  #ended = false;

  constructor(raw: ServerResponse, runtime: Runtime, times: WriterTimes) {
    this.#raw = raw;
    this.#runtime = runtime;
    this.#times = times;
    this.#beatLater();
  }

  /** Resolves once the client may be given more; false = it is gone, or too slow. */
  async write({ cursor, event }: Told): Promise<boolean> {
    this.#cursor = cursor;
    if (event === undefined) return this.#write(`id: ${cursor}\n\n`);
    // JSON has no line breaks of its own, so the data is one line.
    return this.#write(`id: ${cursor}\nevent: ${event.type}\ndata: ${JSON.stringify(event)}\n\n`);
  }

  end(): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#cancelHeartbeat();
    const cancel = this.#runtime.after(FLUSH_MS, () => this.#raw.destroy());
    this.#raw.once('close', cancel);
    this.#raw.end();
  }

  async #write(text: string): Promise<boolean> {
    if (this.#isGone()) return false;
    if (this.#raw.write(text)) return true;
    return (await this.#drained()) || this.#drop();
  }

  async #drained(): Promise<boolean> {
    const over = new AbortController();
    const cancel = this.#runtime.after(this.#times.slowMs, () => over.abort());
    const gone = () => over.abort();
    this.#raw.once('close', gone);
    try {
      await once(this.#raw, 'drain', { signal: over.signal });
      return true;
    } catch {
      return false;
    } finally {
      cancel();
      this.#raw.removeListener('close', gone);
    }
  }

  #drop(): false {
    if (this.#isGone()) return false;
    const message = `the events were not taken for ${this.#times.slowMs} ms: come back with the last id`;
    this.#raw.write(`event: dropped\ndata: ${JSON.stringify({ type: 'dropped', message })}\n\n`);
    return false;
  }

  #isGone(): boolean {
    return this.#ended || this.#raw.destroyed || this.#raw.writableEnded;
  }

  /** A comment, which no listener sees, and the cursor, by which one that comes back need not be shown old entries. */
  #beatLater(): void {
    this.#cancelHeartbeat = this.#runtime.after(this.#times.heartbeatMs, () => {
      if (this.#isGone()) return;
      if (!this.#raw.writableNeedDrain) this.#raw.write(this.#cursor === '' ? ': \n\n' : `: \nid: ${this.#cursor}\n\n`);
      this.#beatLater();
    });
  }
}
