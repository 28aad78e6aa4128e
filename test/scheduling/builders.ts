import type { WorkerCapacity } from '../../src/scheduling/placement.ts';

/** A worker with four free slots that runs `echo`. */
export function aWorker(over: Partial<WorkerCapacity> = {}): WorkerCapacity {
  return {
    ref: 'w1',
    agents: new Set(['echo']),
    slots: 4,
    extra: 0,
    quick: new Set(),
    occupied: 0,
    lastAssignedAt: 0,
    ...over,
  };
}
