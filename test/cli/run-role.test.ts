import { describe, expect, it } from 'vitest';
import type { Config } from '../../src/config/load.ts';
import { cli } from './builders.ts';

/** A role that only lives: what it would do is tested where it is. */
function aRole({ ended = new Promise<number>(() => {}), stopping = Promise.resolve() } = {}) {
  const told: string[] = [];
  const started = withResolvers();
  const startSystem = async (config: Config) => {
    told.push(`start ${config.role}`);
    started.resolve();
    return {
      url: null,
      role: config.role,
      id: 'x',
      ended,
      stop: async () => {
        told.push('stop');
        await stopping;
      },
    };
  };
  return { told, started: started.promise, parts: { startSystem, loadConfig: () => ({ role: 'all' }) as Config } };
}

function withResolvers() {
  let resolve = () => {};
  const promise = new Promise<void>((done) => {
    resolve = done;
  });
  return { promise, resolve };
}

describe('a role', () => {
  it('drains at the first signal and exits 0', async () => {
    const { told, started, parts } = aRole();
    const { code, exits } = await cli(['--role', 'all'], { parts, signals: [{ signal: 'SIGTERM', after: started }] });
    expect({ code, exits, told }).toEqual({ code: 0, exits: [], told: ['start all', 'stop'] });
  });

  it('ends at once at the second signal', async () => {
    const drained = withResolvers();
    const { started, parts } = aRole({ stopping: drained.promise });
    const second = started.then(() => new Promise((resolve) => setImmediate(resolve)));
    const ran = cli(['--role', 'all'], {
      parts,
      signals: [
        { signal: 'SIGTERM', after: started },
        { signal: 'SIGINT', after: second },
      ],
    });
    await second;
    await new Promise((resolve) => setImmediate(resolve));
    drained.resolve();
    expect((await ran).exits).toEqual([130]);
  });

  it('exits with the code of a system that ended by itself', async () => {
    const { told, parts } = aRole({ ended: Promise.resolve(78) });
    expect((await cli(['--role', 'all'], { parts })).code).toBe(78);
    expect(told).toEqual(['start all', 'stop']);
  });

  it('gives the flags to the configuration', async () => {
    const { parts } = aRole({ ended: Promise.resolve(0) });
    const given: unknown[] = [];
    const loadConfig = (flags: unknown) => {
      given.push(flags);
      return { role: 'worker' } as Config;
    };
    await cli('--role worker --port 7 --host ::1'.split(' '), { parts: { ...parts, loadConfig } });
    expect(given).toEqual([{ role: 'worker', port: '7', host: '::1' }]);
  });
});
