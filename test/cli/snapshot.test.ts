import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { Config } from '../../src/config/load.ts';
import type { GivenKeys } from '../../src/config/message-keys.ts';
import { anApi, type TestApi } from '../api/builders.ts';
import { tasksIn } from '../snapshot/world.ts';
import { cli } from './builders.ts';

const given = (secret: string): GivenKeys => ({
  ...{ generations: [{ kid: 'root', secret }], worker: null, file: null, signsAfterMs: 0, revoked: [] },
  source: 'A2A_TOKEN_SECRET',
});
const OURS = { loadKeys: () => given('0123456789abcdef0123456789abcdef') };
const THEIRS = { loadKeys: () => given('fedcba9876543210fedcba9876543210') };

let cwd: string;
let from: TestApi;
let url: string;
let others: TestApi[];

beforeEach(async () => {
  cwd = await mkdtemp(join(tmpdir(), 'agent-system-cli-'));
  others = [];
  from = await anApi();
  ({ url } = await from.api.listen({ host: '127.0.0.1', port: 0 }));
  await from.tasks.submitMany([1, 2, 3].map((n) => ({ agent: 'echo', input: { text: `t${n}` } })));
});
afterEach(async () => {
  await Promise.all([from, ...others].map(({ api }) => api.close()));
  await rm(cwd, { recursive: true, force: true });
});

async function anotherUrl(): Promise<string> {
  const made = await anApi();
  others.push(made);
  return (await made.api.listen({ host: '127.0.0.1', port: 0 })).url;
}

describe('snapshot save', () => {
  it('writes a file that verifies, under its name only when it is whole', async () => {
    const saved = await cli(['snapshot', 'save', 'a.ndjson'], { url, cwd });
    expect(saved).toMatchObject({ code: 0, out: '', err: expect.stringMatching(/^saved 3 tasks of .* to a\.ndjson/) });
    expect(await readdir(cwd)).toEqual(['a.ndjson']);
    const verified = await cli(['snapshot', 'verify', 'a.ndjson'], { cwd, parts: OURS });
    expect(verified.code).toBe(0);
    expect(verified.out).toMatch(/tasks\s+3\n\s+queued\s+3/i);
  });

  it('writes to standard output for -, and nothing else', async () => {
    const { code, out, err } = await cli(['snapshot', 'save', '-'], { url, cwd });
    expect(code).toBe(0);
    expect(tasksIn(out)).toHaveLength(3);
    expect(err).toContain('to the standard output');
    const verified = await cli(['snapshot', 'verify', '-', '-o', 'json'], { stdin: out, parts: OURS });
    expect(JSON.parse(verified.out)).toMatchObject({ file: '-', states: { queued: 3 }, signed: true });
  });

  it('leaves nothing behind when it fails', async () => {
    const under = from.services.snapshots.take();
    await under.next();
    await writeFile(join(cwd, 'a.ndjson'), 'the one before');
    const { code, err } = await cli(['snapshot', 'save', 'a.ndjson'], { url, cwd });
    await under.return(undefined);
    expect([code, err]).toEqual([1, 'error: a snapshot is being taken here already\n']);
    expect(await readdir(cwd)).toEqual(['a.ndjson']);
    expect(await readFile(join(cwd, 'a.ndjson'), 'utf8')).toBe('the one before');
    const nowhere = await cli(['snapshot', 'save', 'no/such/folder'], { url, cwd });
    expect([nowhere.code, nowhere.err]).toEqual([
      1,
      'error: no/such/folder cannot be used: there is no such file or folder\n',
    ]);
  });
});

describe('snapshot verify', () => {
  it('exits with 1 and says what is wrong', async () => {
    await cli(['snapshot', 'save', 'a.ndjson'], { url, cwd });
    const text = await readFile(join(cwd, 'a.ndjson'), 'utf8');
    await writeFile(join(cwd, 'edited'), text.replace('"t2"', '"t4"').replace('t2', 't4'));
    await writeFile(join(cwd, 'short'), text.slice(0, -100));
    const verify = async (file: string, parts = OURS) => {
      const { code, err } = await cli(['snapshot', 'verify', file], { cwd, parts });
      return [code, err];
    };
    expect(await verify('edited')).toEqual([1, expect.stringContaining('they were edited')]);
    expect(await verify('short')).toEqual([1, expect.stringContaining('cut off within it')]);
    expect(await verify('a.ndjson', THEIRS)).toEqual([1, expect.stringContaining('has another secret here')]);
    expect(await verify('missing')).toEqual([1, 'error: missing cannot be used: there is no such file or folder\n']);
  });

  it('proves nothing about who signed it without keys', async () => {
    await cli(['snapshot', 'save', 'a.ndjson'], { url, cwd });
    const { code, err } = await cli(['snapshot', 'verify', 'a.ndjson'], { cwd });
    expect([code, err]).toEqual([1, expect.stringContaining('no keys are set here')]);
  });
});

describe('snapshot restore', () => {
  it('puts a file into another system, once', async () => {
    const to = await anotherUrl();
    await cli(['snapshot', 'save', 'a.ndjson'], { url, cwd });
    const restored = await cli(['snapshot', 'restore', 'a.ndjson', '-o', 'json'], { url: to, cwd });
    expect(restored.code).toBe(0);
    expect(JSON.parse(restored.out)).toMatchObject({ file: 'a.ndjson', restored: 3, kept: 0 });
    expect(others[0]!.seen.filter(({ type }) => type === 'fault')).toEqual([]);
    await from.tasks.submit({ agent: 'echo', input: { text: 'later' } });
    const refused = await cli(['snapshot', 'restore', 'a.ndjson'], { url, cwd });
    expect([refused.code, refused.err]).toEqual([1, expect.stringContaining('the store holds tasks')]);
    const forced = await cli(['snapshot', 'restore', 'a.ndjson', '--force'], { url, cwd });
    expect(forced).toMatchObject({ code: 0, out: expect.stringMatching(/kept\s+3 tasks that were there already/) });
  });
});

describe('--restore', () => {
  const config = (role: string) => ({ role }) as Config;

  it('is handed to the role that starts', async () => {
    const seen: unknown[] = [];
    const startSystem = async (_: Config, extras: unknown) => {
      seen.push(extras);
      return { url: null, role: 'all', id: 'x', stop: async () => undefined, ended: Promise.resolve(78) };
    };
    const parts = { loadConfig: () => config('all'), startSystem };
    expect(await cli(['--role', 'all', '--restore', 'a.ndjson'], { parts })).toMatchObject({ code: 78 });
    expect(await cli(['--role', 'all'], { parts })).toMatchObject({ code: 78 });
    expect(seen).toEqual([{ restore: 'a.ndjson' }, {}]);
  });

  it('is wrong for a worker, and without any role', async () => {
    const worker = await cli(['--role', 'worker', '--restore', 'f'], { parts: { loadConfig: () => config('worker') } });
    expect([worker.code, worker.err]).toEqual([2, expect.stringContaining('--restore is for a coordinator or all')]);
    expect(await cli(['--restore', 'f'])).toMatchObject({ code: 2, err: expect.stringContaining('wanted --role') });
  });
});
