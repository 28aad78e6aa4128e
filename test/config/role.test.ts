import { describe, expect, it } from 'vitest';
import { loadConfig } from '../../src/config/load.ts';
import { anInput, GOOD_SECRET, load } from './builders.ts';

const REDIS = { REDIS_HOST: 'redis', A2A_TOKEN_SECRET: GOOD_SECRET };
const of = (env: Record<string, string>, role?: string) => {
  const config = loadConfig(anInput({ ...REDIS, ...env }, { flags: { role } }));
  return config && [config.role, config.id, config.port];
};

describe('the role', () => {
  it.each([
    [
      '--role before all else',
      { AGENT_ROLE: 'worker', COORDINATOR_ID: 'c1' },
      'coordinator',
      ['coordinator', 'c1', 8001],
    ],
    [
      'AGENT_ROLE before ids',
      { AGENT_ROLE: 'Distributor', WORKER_ID: 'w1' },
      undefined,
      ['distributor', 'distributor-web-3-k2f8x1', 8002],
    ],
    [
      'a worker that knows its distributor',
      { WORKER_ID: 'w1', DISTRIBUTOR_ID: 'd1' },
      undefined,
      ['worker', 'w1', 8003],
    ],
    [
      'a distributor that knows its coordinator',
      { DISTRIBUTOR_ID: 'd1', COORDINATOR_ID: 'c1' },
      undefined,
      ['distributor', 'd1', 8002],
    ],
    ['a coordinator', { COORDINATOR_ID: 'c1', SERVER_ID: 's1' }, undefined, ['coordinator', 'c1', 8001]],
    ['a server', { SERVER_ID: 's1' }, undefined, ['all', 's1', 8001]],
    ['auto by id', { WORKER_ID: 'w1' }, 'auto', ['worker', 'w1', 8003]],
    ['auto without any id', {}, 'auto', ['all', 'all-web-3-k2f8x1', 8001]],
    ['AGENT_ROLE auto', { AGENT_ROLE: 'auto', DISTRIBUTOR_ID: 'd1' }, undefined, ['distributor', 'd1', 8002]],
    ['--role auto before AGENT_ROLE', { AGENT_ROLE: 'worker' }, 'auto', ['all', 'all-web-3-k2f8x1', 8001]],
    ['none at all', {}, undefined, null],
    ['an empty id', { WORKER_ID: '' }, undefined, null],
  ])('comes from %s', (_, env, flag, expected) => {
    expect(of(env, flag)).toEqual(expected);
  });

  it('is none, and so help, even where settings are wrong', () => {
    expect(loadConfig(anInput({ WORKER_SLOTS: 'many', REDIS_PORT: 'tcp://10.0.0.1:6379' }))).toBeNull();
  });

  it.each([
    ['--role', {}, 'boss', '--role is "boss", wanted one of coordinator, distributor, worker, all, auto'],
    ['AGENT_ROLE', { AGENT_ROLE: 'boss' }, undefined, 'AGENT_ROLE is "boss", wanted one of'],
    ['an id', { WORKER_ID: 'w@1' }, undefined, 'WORKER_ID is "w@1", wanted up to 128 letters'],
  ])('is refused, not helped, when %s is wrong', (_, env, role, message) => {
    expect(() => loadConfig(anInput(env, { flags: { role } }))).toThrow(message);
  });

  it('of a worker keeps the distributor it was told', () => {
    expect(load({ ...REDIS, AGENT_ROLE: '', WORKER_ID: 'w1', DISTRIBUTOR_ID: 'd1' }).work.distributorId).toBe('d1');
    expect(load({ SERVER_ID: 's1', DISTRIBUTOR_ID: 'd1' }).work.distributorId).toBeNull();
  });

  it('makes a default id from any host name', () => {
    expect(load({}, { hostname: 'Büro PC/1' }).id).toBe('all-B-ro-PC-1-k2f8x1');
    expect(load({}, { hostname: '' }).id).toBe('all-host-k2f8x1');
  });
});

describe('the port', () => {
  it('is a default only when neither flag nor environment names it', () => {
    const port = (env: Record<string, string>, flag?: string | number) => {
      const config = load({ ...REDIS, AGENT_ROLE: 'worker', ...env }, { flags: { port: flag } });
      return [config.port, config.portIsDefault];
    };
    expect(port({})).toEqual([8003, true]);
    expect(port({ WORKER_PORT: '8003' })).toEqual([8003, false]);
    expect(port({ WORKER_PORT: '9' }, '0')).toEqual([0, false]);
    expect(port({ COORDINATOR_PORT: '9' })).toEqual([8003, true]);
  });

  it('of all roles in one process is the coordinator’s', () => {
    expect(load({ COORDINATOR_PORT: '9001', WORKER_PORT: '9003' }).port).toBe(9001);
  });
});
