/** The example that people copy, run by Python, called by a whole system. */
import { type ChildProcess, spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createSystem, httpAgent, type System } from '../../../src/index.ts';
import { signatureHeaders } from '../../../src/net/request-signature.ts';
import { within } from '../../e2e/support/eventually.ts';
import { endWithTest } from '../../e2e/support/process-guard.ts';
import { SECRET } from './support.ts';

const WORKER = fileURLToPath(new URL('../../../examples/python-worker/worker.py', import.meta.url));
const START_MS = 10_000;

let python: ChildProcess;
let url: string;
let wrote = '';
let system: System;

beforeAll(async () => {
  python = spawn('python3', [WORKER], { env: { ...process.env, PORT: '0', HTTP_AGENT_SECRET: SECRET } });
  endWithTest(python);
  for (const stream of [python.stdout, python.stderr]) {
    stream?.on('data', (text: Buffer) => {
      wrote += text.toString();
    });
  }
  url = await within(START_MS, 'the example to listen', () => /listening on (\S+)/.exec(wrote)?.[1] ?? '');
  const allow = ['127.0.0.1'];
  system = await createSystem({
    agents: [
      httpAgent({ name: 'from-options', url, secret: SECRET, allow }),
      httpAgent({ name: 'wrong-secret', url, secret: [...SECRET].reverse().join(''), allow }),
      httpAgent({ name: 'unsigned', url, allow }),
    ],
    settings: {
      HTTP_AGENTS: `from-settings=${url},not-allowed=${url.replace('127.0.0.1', '127.0.0.2')}`,
      HTTP_AGENT_SECRET: SECRET,
      HTTP_AGENT_ALLOW: new URL(url).host,
      LOG_LEVEL: 'silent',
    },
  });
});
afterAll(async () => {
  await system?.stop();
  python?.kill();
});

describe('the Python worker', () => {
  it.each(['from-options', 'from-settings'])('counts words as the agent %s', async (agent) => {
    const task = await system.client.submit(agent, { text: 'To be or not to be: grüße' });
    expect(await task.result({ timeout: '10s' })).toEqual({
      words: 7,
      commonest: [
        ['to', 2],
        ['be', 2],
        ['or', 1],
      ],
    });
  });

  it('says how far it has come, and ends when the task is cancelled', async () => {
    const task = await system.client.submit('from-settings', { text: 'a b c d e f g h i j', seconds: 5 });
    const seen = await within(10_000, 'progress', async () => {
      const view = await task.task();
      return view.progress && view.progress < 1 ? view : null;
    });
    expect(seen).toMatchObject({ state: 'running', progressNote: expect.stringMatching(/\d different words/) });
    expect(wrote).not.toContain('cancelled');
    await task.cancel('seen enough');
    expect(await task.task()).toMatchObject({ state: 'cancelled' });
    // A step takes half a second, and of a closed connection the first write may not tell yet.
    await within(3_000, 'the worker to notice', () => wrote.includes('cancelled: nobody waits'));
  });

  it('refuses a wrong input for good', async () => {
    const task = await system.client.submit('from-options', { text: 3 });
    await expect(task.result({ timeout: '10s' })).rejects.toMatchObject({
      task: { attempt: 1, error: { code: 'invalid_input', retryable: false } },
    });
  });

  it.each(['wrong-secret', 'unsigned'])('does not work for the agent %s', async (agent) => {
    const task = await system.client.submit(agent, { text: 'x' });
    await expect(task.result({ timeout: '10s' })).rejects.toMatchObject({
      task: { attempt: 1, error: { code: 'bad_signature', retryable: false } },
    });
  });

  it('is not called where the settings do not allow it', async () => {
    const task = await system.client.submit('not-allowed', { text: 'x' });
    await expect(task.result({ timeout: '10s' })).rejects.toMatchObject({
      task: { attempt: 1, error: { code: 'http_forbidden_address' } },
    });
  });

  it.each([
    ['now', 0, 200],
    ['four minutes ago', -240, 200],
    ['six minutes ago', -360, 401],
    ['in six minutes', 360, 401],
  ])('takes or refuses a request that was signed %s', async (_when, seconds, status) => {
    const body = JSON.stringify({ input: { text: 'x' } });
    const headers = signatureHeaders(SECRET, { now: Date.now() + seconds * 1_000, id: 'r1', body });
    const response = await fetch(url, { method: 'POST', headers, body });
    expect(response.status).toBe(status);
    await response.text();
  });

  it.each([
    { 'x-agent-system-timestamp': '١٢٣' },
    { 'x-agent-system-timestamp': 'soon' },
    { 'x-agent-system-signature': 'v1=é' },
    { 'x-agent-system-id': 'another' },
  ])('refuses a request with %j', async (changed) => {
    const body = JSON.stringify({ input: { text: 'x' } });
    const headers = { ...signatureHeaders(SECRET, { now: Date.now(), id: 'r1', body }), ...changed };
    const bytes = Object.fromEntries(
      Object.entries(headers).map(([name, value]) => [name, Buffer.from(value).toString('latin1')]),
    );
    const response = await fetch(url, { method: 'POST', headers: bytes, body });
    expect(response.status).toBe(401);
    await response.text();
  });
});
