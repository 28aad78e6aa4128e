import { describe, expect, it } from 'vitest';
import { loadConfig } from '../../src/config/load.ts';
import { loadGivenKeys, rereadKeys } from '../../src/config/message-keys.ts';
import { deriveWorkerKey, formatWorkerKey } from '../../src/message/worker-key.ts';
import { anInput, filesOf, GOOD_SECRET, load, problemsOf } from './builders.ts';

const encoded = (letter: string) => Buffer.alloc(32, letter).toString('base64url');
const roots = (...kids: string[]) => kids.map((kid) => ({ kid, secret: Buffer.alloc(32, kid.at(-1)!) }));
const listOf = (...kids: string[]) => kids.map((kid) => `${kid}:${encoded(kid.at(-1)!)}`).join('\n');
const keyOf = (worker: string, ...kids: string[]) => formatWorkerKey(deriveWorkerKey(worker, roots(...kids)));
const REDIS_URL = 'redis://r';

describe('the keys of a process', () => {
  it('know the file that they came from, which is read again; that of a single secret is not', () => {
    const readFile = filesOf({
      '/keys': `# ours\n${listOf('k2', 'k1')}\n`,
      '/secret': GOOD_SECRET,
      '/w7': keyOf('w7', 'k1'),
    });
    const fromList = load({ REDIS_URL, MESSAGE_KEYS_FILE: '/keys' }, { readFile }).keys;
    expect(fromList).toMatchObject({ worker: null, file: '/keys', signsAfterMs: 30_000 });
    expect(fromList?.generations.map(({ kid }) => kid)).toEqual(['k2', 'k1']);
    expect(load({ REDIS_URL, A2A_TOKEN_SECRET_FILE: '/secret' }, { readFile }).keys?.file).toBeNull();
    expect(load({ REDIS_URL, MESSAGE_KEYS: listOf('k1'), MESSAGE_KEY_DELAY: '2m' }).keys).toMatchObject({
      file: null,
      signsAfterMs: 120_000,
    });
    expect(loadConfig(anInput({ REDIS_URL, WORKER_KEY_FILE: '/w7' }, { readFile }))?.keys?.file).toBe('/w7');
  });
});

describe('WORKER_KEY', () => {
  it('is enough to be that worker', () => {
    const config = loadConfig(anInput({ REDIS_URL, WORKER_KEY: keyOf('w7', 'k2', 'k1') }));
    expect(config).toMatchObject({ role: 'worker', id: 'w7', keys: { worker: 'w7', file: null } });
    expect(config?.keys?.generations.map(({ kid, secret }) => [kid, secret.length])).toEqual([
      ['k2', 128],
      ['k1', 128],
    ]);
    expect(loadConfig(anInput({ REDIS_URL, WORKER_ID: 'w7', WORKER_KEY: keyOf('w7', 'k1') }))?.id).toBe('w7');
  });

  it.each<[string, Record<string, string>, string]>([
    ['another worker', { WORKER_ID: 'w8' }, 'WORKER_KEY is of worker "w7", WORKER_ID is "w8"'],
    ['another role', { AGENT_ROLE: 'coordinator' }, 'WORKER_KEY speaks for worker "w7" only'],
    ['a root beside it', { A2A_TOKEN_SECRET: GOOD_SECRET }, 'A2A_TOKEN_SECRET and WORKER_KEY are both set: keep one'],
    ['roots beside it', { MESSAGE_KEYS: listOf('k1') }, 'MESSAGE_KEYS and WORKER_KEY are both set: keep one'],
  ])('is refused for %s', (_, env, problem) => {
    const base = { AGENT_ROLE: 'worker', REDIS_URL, WORKER_KEY: keyOf('w7', 'k1') };
    expect(problemsOf({ ...base, ...env })).toEqual([expect.stringContaining(problem)]);
  });

  it('is refused when it is none, alone as well, and is not shown', () => {
    const cut = keyOf('w7', 'k1').slice(0, -5);
    for (const env of [{ AGENT_ROLE: 'worker' }, { AGENT_ROLE: 'auto' }, { AGENT_ROLE: '' }]) {
      const problems = problemsOf({ ...env, REDIS_URL, WORKER_KEY: cut });
      expect(problems).toEqual([expect.stringMatching(/^WORKER_KEY is cut off or was changed/)]);
      expect(problems.join()).not.toContain(cut.slice(10, 30));
    }
  });
});

describe('a file that is read again', () => {
  const list = { worker: null, generations: roots('k1'), file: '/keys', signsAfterMs: 0 };
  const own = { ...list, worker: 'w7' };

  it('answers its keys', () => {
    expect(rereadKeys(`${listOf('k2', 'k1')}\nk0:revoked`, list)).toEqual({
      keys: { worker: null, generations: roots('k2', 'k1') },
    });
    const read = rereadKeys(`${keyOf('w7', 'k2', 'k1')}\n`, own);
    expect(read).toEqual({ keys: deriveKeysOf('w7', 'k2', 'k1') });
  });

  it.each([
    ['junk', list, 'The file entry 1 is not of the form kid:base64url'],
    ['', list, 'The file has 0 entries'],
    [keyOf('w7', 'k1'), list, 'The file entry 1 is not of the form'],
    [listOf('k1'), own, 'The file does not begin with "wk1:"'],
    [keyOf('w8', 'k1'), own, 'The file holds the key of worker "w8"'],
  ])('is refused when it cannot be used: %s', (text, current, problem) => {
    expect(rereadKeys(text, current)).toEqual({ problems: [expect.stringContaining(problem)] });
  });

  function deriveKeysOf(worker: string, ...kids: string[]) {
    return { worker, generations: deriveWorkerKey(worker, roots(...kids)).generations };
  }
});

describe('the keys that commands are told of', () => {
  const sources = (env: Record<string, string>) => ({
    env,
    dotenv: {},
    readFile: filesOf({ '/keys': `${listOf('k2')},k1:revoked` }),
  });

  it('come from wherever a process would take them, whatever else is set', () => {
    expect(loadGivenKeys(sources({ MESSAGE_KEYS_FILE: '/keys', INSTANCE_TTL: 'wrong' }))).toMatchObject({
      source: 'MESSAGE_KEYS from /keys',
      worker: null,
      revoked: ['k1'],
    });
    expect(loadGivenKeys(sources({ WORKER_KEY: keyOf('w7', 'k1') }))).toMatchObject({
      source: 'WORKER_KEY',
      worker: 'w7',
    });
    expect(loadGivenKeys(sources({ A2A_TOKEN_SECRET: GOOD_SECRET }))).toMatchObject({ source: 'A2A_TOKEN_SECRET' });
    expect(loadGivenKeys(sources({ REDIS_URL }))).toBeNull();
    expect(() => loadGivenKeys(sources({ MESSAGE_KEYS: 'junk' }))).toThrow(/entry 1 is not of the form/);
  });
});
