/** What the demo runs on, whatever that is: it submits to it, may kill one of its workers, and ends it. */
import type { Agent } from '../agent/define-agent.ts';
import type { Client } from '../client/client.ts';

export interface DemoWorker {
  readonly id: string;
  readonly slots: number;
}

export interface StartDemoOptions {
  agents: readonly Agent[];
  workers: readonly DemoWorker[];
  maxPayloadBytes: number;
  /** URL of a Redis; null = embedded, all in this process. */
  redis: string | null;
  /** A worker will be killed: silence must be noticed soon. */
  crash: boolean;
  /** Ends the start; what was begun is undone. */
  signal: AbortSignal;
}

export type StartDemoSystem = (options: StartDemoOptions) => Promise<DemoSystem>;

export interface DemoProcess {
  readonly role: string;
  readonly id: string;
  readonly pid: number;
}

export interface DemoSystem {
  readonly client: Client;
  /** The roles that have a process each; none when all are in this one. */
  readonly processes: readonly DemoProcess[];
  /** After so much silence a worker counts as lost, milliseconds. */
  readonly instanceTtlMs: number;
  /** Resolves with the reason when the system has ended or lost a part by itself. */
  readonly ended: Promise<string>;
  /** Lets a worker die in the middle of its work: its process, or its part of this one. */
  kill(worker: string): void;
  /** Ends all of it and removes what it stored. */
  stop(): Promise<void>;
}
