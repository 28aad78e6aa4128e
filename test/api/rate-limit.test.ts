import { afterEach, describe, expect, it } from 'vitest';
import { ApiKeys } from '../../src/api/api-keys.ts';
import { hashOfApiKey } from '../../src/config/api-keys.ts';
import { anApi, call, type TestApi } from './builders.ts';

let opened: TestApi | undefined;

async function open(over: Parameters<typeof anApi>[0]): Promise<TestApi> {
  opened = await anApi({ rateLimit: { max: 3, perMs: 60_000 }, ...over });
  return opened;
}

afterEach(async () => {
  await opened?.api.close();
  opened = undefined;
});

const statuses = async (n: number, ask: () => Promise<{ status: number }>) => {
  const seen: number[] = [];
  for (let i = 0; i < n; i++) seen.push((await ask()).status);
  return seen;
};

describe('RATE_LIMIT', () => {
  it('answers 429 in our form, with the time to wait, once there were too many', async () => {
    const api = await open({});
    expect(await statuses(3, () => call(api, 'GET', '/v1/tasks'))).toEqual([200, 200, 200]);
    const { status, headers, body } = await call(api, 'POST', '/v1/tasks', { body: { agent: 'echo', input: {} } });
    expect([status, body.error.code]).toEqual([429, 'RATE_LIMITED']);
    expect(body.error.message).toContain('more than 3 requests within 60000 ms');
    expect(Number(headers['retry-after'])).toBeGreaterThan(55);
    expect(Number(headers['retry-after'])).toBeLessThanOrEqual(60);
  });

  it('leaves probes and metrics alone, whoever asks how often', async () => {
    const api = await open({});
    for (const path of ['/health', '/ready', '/metrics'])
      expect(await statuses(6, () => call(api, 'GET', path))).toEqual([200, 200, 200, 200, 200, 200]);
  });

  it('counts each caller for itself, not each address', async () => {
    const key = (name: string) => ({
      name,
      hash: hashOfApiKey(name),
      scopes: ['admin' as const],
      tenant: null,
      expiresAt: null,
    });
    const apiKeys = new ApiKeys([key('one'), key('two')]);
    const api = await open({ access: { apiKey: null, metricsToken: null, apiKeys } });
    const ask = (name: string) => call(api, 'GET', '/v1/tasks', { headers: { 'x-api-key': name } });
    expect(await statuses(4, () => ask('one'))).toEqual([200, 200, 200, 429]);
    expect(await statuses(1, () => ask('two'))).toEqual([200]);
  });

  it('counts each address where nobody has a key, the one a trusted proxy names too', async () => {
    const api = await open({ trustProxy: ['127.0.0.1'] });
    const from = (address: string) => call(api, 'GET', '/v1/tasks', { headers: { 'x-forwarded-for': address } });
    expect(await statuses(4, () => from('203.0.113.7'))).toEqual([200, 200, 200, 429]);
    expect(await statuses(1, () => from('203.0.113.8'))).toEqual([200]);
  });

  it('lets callers come back when the time is over', async () => {
    const api = await open({ rateLimit: { max: 1, perMs: 30 } });
    expect(await statuses(2, () => call(api, 'GET', '/v1/tasks'))).toEqual([200, 429]);
    await new Promise((resolve) => setTimeout(resolve, 40));
    expect(await statuses(1, () => call(api, 'GET', '/v1/tasks'))).toEqual([200]);
  });
});
