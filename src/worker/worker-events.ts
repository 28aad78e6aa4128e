import type { LogLevel } from '../agent/context.ts';
import type { Observation } from '../runtime/observer.ts';

/** What a worker tells whoever logs, counts or draws. Message, store and fault events have the shape all roles share. */
export type WorkerEvent =
  | Extract<
      Observation,
      { type: 'message.sent' | 'message.received' | 'message.rejected' | 'store.away' | 'store.back' | 'fault' }
    >
  | { type: 'attempt.started'; task: string; attemptId: string; agent: string; attempt: number; waitedMs: number }
  | {
      type: 'attempt.ended';
      task: string;
      attemptId: string;
      agent: string;
      outcome: 'completed' | 'failed' | 'returned';
      /** The error's code, or why it was handed back. */
      code?: string;
      /** How long the handler ran; absent when it never started. */
      ms?: number;
    }
  | {
      type: 'attempt.log';
      task: string;
      attemptId: string;
      agent: string;
      level: LogLevel;
      message: string;
      fields: Record<string, unknown> | undefined;
    }
  | { type: 'report.resent'; count: number }
  | { type: 'lease.lost'; why: 'replaced' | 'expired' | 'superseded'; attempts: number }
  | { type: 'distributor.changed'; distributor: string | null };

export type ObserveWorker = (event: WorkerEvent) => void;
