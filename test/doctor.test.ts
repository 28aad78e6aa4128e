import { createServer } from 'node:net';
import { hostname } from 'node:os';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { loadConfig } from '../src/config/load.ts';
import { examine, type Finding } from '../src/doctor.ts';
import { createSystem } from '../src/index.ts';
import { type RedisServer, startRedis } from './support/redis-server.ts';

const SECRET = 'doctor-secret-of-this-test-0123456789abcdefgh';

function looked(env: Record<string, string>, role = 'all'): Promise<Finding[]> {
  const input = { env, hostname: hostname(), randomId: () => 'abcdef', flags: { role } };
  return examine(
    () =>
      loadConfig({
        ...input,
        readFile: (path) => {
          if (path === 'keys.json') return '[]';
          throw new Error('no files here');
        },
      })!,
  );
}

const of = (findings: Finding[], check: string) => findings.filter((finding) => finding.check === check);
const failed = (findings: Finding[]) => findings.filter(({ state }) => state === 'fail');

describe('doctor', () => {
  it('finds nothing wrong with no setting at all', async () => {
    const findings = await looked({ COORDINATOR_PORT: '0' });
    expect(failed(findings)).toEqual([]);
    expect(of(findings, 'store')[0]?.found).toContain('embedded');
  });

  it('names every wrong setting, and looks no further', async () => {
    const findings = await looked({ WORKER_SLOTS: 'many', INSTANCE_TTL: '1s' });
    expect(findings.map(({ check, state }) => [check, state])).toEqual([
      ['config', 'fail'],
      ['config', 'fail'],
    ]);
    expect(findings[0]?.found).toContain('WORKER_SLOTS is "many"');
  });

  it('says so when another program holds the port, and what to do', async () => {
    const other = createServer();
    await new Promise<void>((resolve) => other.listen(0, '127.0.0.1', resolve));
    const { port } = other.address() as { port: number };
    const [finding] = of(await looked({ COORDINATOR_PORT: String(port) }), 'port');
    other.close();
    expect(finding).toMatchObject({ state: 'fail', advice: expect.stringContaining('--port') });
  });

  it('recognises one of ours on the port', async () => {
    const system = await createSystem({ port: 0, instanceId: 'mine' });
    const { port } = new URL(system.url!);
    const [finding] = of(await looked({ COORDINATOR_PORT: port }), 'port');
    await system.stop();
    expect(finding).toMatchObject({ state: 'ok', found: `${port} on 127.0.0.1 is held by a running system: all mine` });
  });

  it('says who is let in', async () => {
    const found = async (env: Record<string, string>) =>
      of(await looked({ COORDINATOR_PORT: '0', ...env }), 'access')[0]?.found;
    expect(await found({})).toBe('only 127.0.0.1 is listened on, without a key');
    expect(await found({ API_KEY: 'key-of-the-doctor-test-0123456789' })).toBe('callers need API_KEY');
    const list = {
      API_KEYS_FILE: 'keys.json',
      HOST: '0.0.0.0',
    };
    expect(await found(list)).toBe('callers need a key of keys.json');
  });

  it('names agents at URLs beside those of modules', async () => {
    const [finding] = of(await looked({ COORDINATOR_PORT: '0', HTTP_AGENTS: 'ocr=http://127.0.0.1:9000/' }), 'agents');
    expect(finding).toMatchObject({ state: 'ok', found: 'ocr at http://127.0.0.1:9000/' });
  });

  it('says why an agent module cannot be used', async () => {
    const [finding] = of(await looked({ COORDINATOR_PORT: '0', AGENTS: '/nowhere/a.mjs' }), 'agents');
    expect(finding).toMatchObject({ state: 'fail', found: 'The agent module /nowhere/a.mjs does not exist.' });
  });

  describe('with a Redis', () => {
    let redis: RedisServer;
    beforeAll(async () => {
      redis = await startRedis();
    });
    afterAll(() => redis.stop());
    const url = () => `redis://127.0.0.1:${redis.port}`;
    const env = () => ({ REDIS_URL: url(), A2A_TOKEN_SECRET: SECRET, COORDINATOR_PORT: '0', WORKER_PORT: '0' });

    it('tells its version, that nothing was set up, and then what runs', async () => {
      const before = await looked(env(), 'worker');
      expect(failed(before)).toEqual([]);
      expect(of(before, 'redis')[0]?.found).toMatch(/^Redis \d+\.\d+\.\d+ at /);
      expect(of(before, 'system')[0]?.found).toBe('none yet: the first coordinator sets it up');
      const system = await createSystem({ store: { redis: url() }, secret: SECRET });
      const after = await looked(env(), 'worker');
      expect(of(after, 'instances')[0]?.found).toBe('1 coordinator, 1 distributor, 1 worker');
      const [shards] = of(await looked({ ...env(), SHARDS: '2' }), 'system');
      await system.stop();
      expect(shards).toMatchObject({ state: 'fail', advice: 'set SHARDS=1' });
    });

    it('says what to do about one that cannot be reached, without ever showing the secret', async () => {
      const findings = await looked({ REDIS_URL: 'redis://127.0.0.1:1', A2A_TOKEN_SECRET: SECRET }, 'worker');
      expect(failed(findings)).toMatchObject([{ check: 'redis', advice: expect.stringContaining('REDIS_URL') }]);
      expect(JSON.stringify(findings)).not.toContain(SECRET);
    });
  });
});
