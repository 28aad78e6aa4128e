import { once } from 'node:events';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo, Socket } from 'node:net';
import { AttemptContext, type AttemptFacts } from '../../../src/agent/context.ts';
import { type HttpAgentOptions, makeHttpAgent } from '../../../src/agent/http/http-agent.ts';
import { type Outcome, runMethod } from '../../../src/agent/run-method.ts';
import type { Resolve } from '../../../src/net/guarded-lookup.ts';
import { systemRuntime } from '../../../src/runtime/system-runtime.ts';

export const SECRET = 'k7Jw2mQx9vB4nR8tY1pL5sD3fG6hZ0cA';

export interface Asked {
  headers: IncomingMessage['headers'];
  url: string;
  text: string;
  // biome-ignore lint/suspicious/noExplicitAny: whatever was sent
  body: any;
}

export type Answering = (response: ServerResponse, asked: Asked, socket: Socket) => unknown;

/** An agent on a port of its own; each test says how it answers. */
export class AgentServer {
  readonly asked: Asked[] = [];
  answer: Answering = (response) => response.end('null');
  readonly #server: Server;

  private constructor(server: Server) {
    this.#server = server;
  }

  static async start(): Promise<AgentServer> {
    const server = createServer();
    const made = new AgentServer(server);
    server.on('request', (request, response) => void made.#take(request, response));
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    return made;
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  get url(): string {
    return `http://127.0.0.1:${this.port}/run`;
  }

  /** Connections that are open now. */
  connections(): Promise<number> {
    return new Promise((resolve, reject) => {
      this.#server.getConnections((error, count) => (error ? reject(error) : resolve(count)));
    });
  }

  async stop(): Promise<void> {
    this.#server.closeAllConnections();
    this.#server.close();
    await once(this.#server, 'close');
  }

  async #take(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const chunks: Buffer[] = [];
    for await (const chunk of request) chunks.push(chunk);
    const text = Buffer.concat(chunks).toString();
    const asked = { headers: request.headers, url: request.url ?? '', text, body: JSON.parse(text) };
    this.asked.push(asked);
    this.answer(response, asked, request.socket);
  }
}

export function deferred<T>(): { promise: Promise<T>; resolve: (value: T) => void } {
  let resolve: (value: T) => void = () => undefined;
  const promise = new Promise<T>((done) => {
    resolve = done;
  });
  return { promise, resolve };
}

export function lines(response: ServerResponse, ...all: unknown[]): void {
  response.writeHead(200, { 'content-type': 'application/x-ndjson' });
  for (const line of all) response.write(`${typeof line === 'string' ? line : JSON.stringify(line)}\n`);
}

export interface Ran {
  outcome: Promise<Outcome>;
  context: AttemptContext;
  progress: [number, string | undefined][];
  logged: unknown[];
}

/** Starts one attempt, as a worker would. */
export function attempt(
  options: Omit<HttpAgentOptions, 'name'>,
  over: { input?: unknown; method?: string; resolve?: Resolve; facts?: AttemptFacts } = {},
): Ran {
  const { input = { text: 'a b' }, method = 'run', resolve, facts } = over;
  const agent = makeHttpAgent({ name: 'outside', allow: ['127.0.0.1'], ...options }, resolve);
  const progress: Ran['progress'] = [];
  const logged: unknown[] = [];
  const context = new AttemptContext('task-1', 2, {
    runtime: systemRuntime,
    facts: () => facts ?? {},
    log: (level, message, fields) => logged.push([level, message, fields]),
    progress: (value, note) => progress.push([value, note]),
  });
  const outcome = runMethod(agent.methods.get(method)!, JSON.stringify(input), context, 1_000_000);
  return { outcome, context, progress, logged };
}
