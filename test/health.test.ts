import { describe, expect, it } from 'vitest';
import { type ProcessState, readinessOf } from '../src/health.ts';

describe('readiness', () => {
  it('comes by itself once what stood in its way is over', () => {
    const check = { problems: [], warnings: [], durability: 'memory' as const, description: 'embedded' };
    const identity = { uuid: 'u', schema: 1, shards: 1 };
    const at = (phase: ProcessState['phase']): ProcessState =>
      ({ phase, connected: true, gate: { open: true, identity }, check, roles: null }) as unknown as ProcessState;
    expect(readinessOf(at('starting'))).toEqual({ ready: false, reasons: ['the roles are still starting'] });
    expect(readinessOf(at('running'))).toEqual({ ready: true, reasons: [] });
    expect(check.problems).toEqual([]);
  });
});
