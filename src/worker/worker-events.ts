import type { Observation } from '../runtime/observer.ts';

/** What a worker tells whoever logs, counts or draws. */
export type WorkerEvent = Extract<
  Observation,
  {
    type:
      | 'message.sent'
      | 'message.received'
      | 'message.rejected'
      | 'store.away'
      | 'store.back'
      | 'fault'
      | 'attempt.started'
      | 'attempt.ended'
      | 'attempt.log'
      | 'report.resent'
      | 'lease.lost'
      | 'distributor.changed'
      | 'lease.renewed'
      | 'store.retry';
  }
>;

export type ObserveWorker = (event: WorkerEvent) => void;
