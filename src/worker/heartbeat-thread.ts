/**
 * The heart in a thread of its own, with its own connection to the store: a handler that blocks the worker's loop for
 * minutes does not stop it. This file is the bridge between both sides; the thread's entry file (the composition's,
 * because only that may know a backend) makes the store and calls `hostHeart`.
 */
import { type MessagePort, Worker as Thread } from 'node:worker_threads';
import type { Observation, Observe } from '../runtime/observer.ts';
import { pause, type Runtime } from '../runtime/runtime.ts';
import type { Heart, HeartNews, HeartPost } from './heart.ts';

export interface HeartThreadOptions {
  /** The thread's entry file. */
  entry: URL;
  /** For the entry file: settings, connection, keys. Must survive a structured clone. */
  workerData: unknown;
  runtime: Runtime;
  /** What the thread's own parts tell about themselves. */
  onTold?: Observe;
}

type ToThread = { type: 'post'; post: HeartPost } | { type: 'stop'; withinMs: number };
type FromThread = { type: 'news'; news: HeartNews } | { type: 'told'; observation: Observation } | { type: 'ended' };

/** Time for the thread's messages beyond what its last beat may take. */
const MESSAGE_MS = 250;

export function startHeartbeatThread(options: HeartThreadOptions): Heart {
  return new HeartThread(options);
}

class HeartThread implements Heart {
  readonly #runtime: Runtime;
  readonly #thread: Thread;
  readonly #ended: Promise<void>;
  #listener: (news: HeartNews) => void = () => undefined;
  #stopping = false;

  constructor({ entry, workerData, runtime, onTold }: HeartThreadOptions) {
    this.#runtime = runtime;
    this.#thread = new Thread(entry, { workerData });
    this.#ended = new Promise((resolve) => {
      this.#thread.on('message', (message: FromThread) => {
        if (message.type === 'news') this.#listener(message.news);
        else if (message.type === 'told') onTold?.(message.observation);
        else resolve();
      });
      this.#thread.on('error', (error) => this.#gone(error instanceof Error ? error.message : String(error), resolve));
      this.#thread.on('exit', (code) => this.#gone(`its thread ended with code ${code}`, resolve));
    });
  }

  listen(listener: (news: HeartNews) => void): void {
    this.#listener = listener;
  }

  post(post: HeartPost): void {
    this.#send({ type: 'post', post });
  }

  async stop(withinMs: number): Promise<void> {
    if (this.#stopping) return;
    this.#stopping = true;
    this.#send({ type: 'stop', withinMs });
    const patience = new AbortController();
    await Promise.race([this.#ended, pause(this.#runtime, withinMs + MESSAGE_MS, patience.signal)]);
    patience.abort();
    await this.#thread.terminate();
  }

  #send(message: ToThread): void {
    this.#thread.postMessage(message);
  }

  /** A worker without a heart would lose every lease silently, so this is the end of it, and said once. */
  #gone(message: string, resolve: () => void): void {
    resolve();
    if (this.#stopping) return;
    this.#stopping = true;
    this.#listener({ type: 'stopped', message });
  }
}

/** The thread's side of `onTold`. */
export function tellParent(port: MessagePort): Observe {
  return (observation) => port.postMessage({ type: 'told', observation } satisfies FromThread);
}

/** The thread's side: drives `heart` by what comes through `port`, until told to stop; then `close` is awaited. */
export function hostHeart(port: MessagePort, heart: Heart, close: () => Promise<void>): void {
  const tell = (message: FromThread) => port.postMessage(message);
  heart.listen((news) => tell({ type: 'news', news }));
  port.on('message', async (message: ToThread) => {
    if (message.type === 'post') return heart.post(message.post);
    await heart.stop(message.withinMs);
    tell({ type: 'ended' });
    await close();
    port.close();
  });
}
