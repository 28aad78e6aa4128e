import { chmodSync, mkdtempSync, readFileSync, rmSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { loadGivenKeys } from '../../src/config/message-keys.ts';
import { deriveWorkerKey, parseWorkerKey } from '../../src/message/worker-key.ts';
import { cli } from './builders.ts';

const SECRET = 'k7Jw2mQx9vB4nR8tY1pL5sD3fG6hZ0cA';
const bytes = (kid: string) => Buffer.alloc(32, kid.at(-1)!);
const entry = (kid: string) => `${kid}:${bytes(kid).toString('base64url')}`;

let dir: string;
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'keys-cli-'));
});
afterEach(() => rmSync(dir, { recursive: true }));

const file = (name = 'keys.txt') => join(dir, name);
const textOf = (name?: string) => readFileSync(file(name), 'utf8');
const modeOf = (name?: string) => statSync(file(name)).mode & 0o777;
/** Runs `keys …` in the folder of the test, with this environment. */
function keys(command: string, env: Record<string, string> = {}) {
  const readFile = (path: string) => readFileSync(path, 'utf8');
  const loadKeys = () => loadGivenKeys({ env, dotenv: {}, readFile });
  return cli(['keys', ...command.split(' ')], { cwd: dir, parts: { loadKeys } });
}

describe('keys generate', () => {
  it('makes an entry for MESSAGE_KEYS when it is given a name', async () => {
    const { code, out } = await keys('generate --kid k1');
    expect(code).toBe(0);
    expect(out).toMatch(/^k1:[\w-]{43}\n$/);
    expect((await keys('generate --kid k1')).out).not.toBe(out);
    expect(JSON.parse((await keys('generate --kid k1 -o json')).out)).toEqual({
      kid: 'k1',
      secret: expect.stringMatching(/^[\w-]{43}$/),
    });
    expect(await keys('generate --kid a.b')).toMatchObject({ code: 2, err: expect.stringContaining('--kid is "a.b"') });
  });
});

describe('keys rotate', () => {
  it('makes a file that only its owner can read, and then puts each new key first', async () => {
    const first = await keys('rotate --keys-file keys.txt --kid k1');
    expect(first).toMatchObject({ code: 0, err: expect.stringContaining('set MESSAGE_KEYS_FILE to this file') });
    expect(modeOf()).toBe(0o600);
    const second = await keys('rotate --keys-file keys.txt --kid k2 -o json');
    expect(JSON.parse(second.out)).toMatchObject([
      { kid: 'k2', use: 'signs' },
      { kid: 'k1', use: 'verifies' },
    ]);
    expect(second.err).toContain('signs once it was there for MESSAGE_KEY_DELAY');
    expect(textOf()).toMatch(/^k2:[\w-]{43}\nk1:[\w-]{43}\n$/);
    expect(modeOf()).toBe(0o600);
  });

  it('fills an empty file, whose permissions somebody has chosen', async () => {
    writeFileSync(file(), '');
    chmodSync(file(), 0o640);
    expect((await keys('rotate --keys-file keys.txt --kid k1')).err).toContain('the first key');
    expect([textOf().slice(0, 3), modeOf()]).toEqual(['k1:', 0o640]);
  });

  it('names keys after the day, however many are made on it', async () => {
    for (let n = 0; n < 3; n++) await keys('rotate --keys-file keys.txt');
    const day = new Date().toISOString().slice(0, 10).replaceAll('-', '');
    expect(textOf().match(/^[\w-]+/gm)).toEqual([`k${day}-3`, `k${day}-2`, `k${day}`]);
  });

  it('leaves comments, the permissions of the file and a link to it as they are', async () => {
    writeFileSync(file('real'), `# ours\n${entry('k1')}\n`);
    chmodSync(file('real'), 0o640);
    symlinkSync(file('real'), file());
    expect((await keys('rotate --keys-file keys.txt --kid k2')).code).toBe(0);
    expect(textOf('real')).toMatch(/^# ours\nk2:[\w-]{43}\nk1:/);
    expect(modeOf('real')).toBe(0o640);
  });

  it('begins a first file with the secret that the system has had so far', async () => {
    const { err } = await keys('rotate --keys-file keys.txt', { A2A_TOKEN_SECRET: SECRET });
    expect(err).toContain('it holds the key of A2A_TOKEN_SECRET');
    const [before, after] = [{ A2A_TOKEN_SECRET: SECRET }, { MESSAGE_KEYS_FILE: file() }].map((env) =>
      loadGivenKeys({ env, dotenv: {}, readFile: (path) => readFileSync(path, 'utf8') }),
    );
    expect(after?.generations).toEqual(before?.generations);
  });

  it('tells which keys fell out when there were too many', async () => {
    const kids = Array.from({ length: 16 }, (_, n) => `key-${String.fromCharCode(97 + n)}`);
    writeFileSync(file(), kids.map(entry).join('\n'));
    expect((await keys('rotate --keys-file keys.txt')).err).toContain('so gone are: key-p');
  });

  it.each([
    ['rotate', 2, "required option '--keys-file <file>' not specified"],
    ['rotate --keys-file keys.txt --kid k1', 1, 'keys.txt has a key "k1" already; give another --kid'],
    ['rotate --keys-file broken', 78, 'broken entry 1 is not of the form kid:base64url'],
    ['rotate --keys-file nowhere/keys.txt', 1, 'nowhere/keys.txt cannot be changed or read (ENOENT'],
    ['rotate --keys-file busy', 1, 'busy.new exists: another command changes busy now'],
  ])('refuses "%s" and leaves everything as it was', async (command, code, error) => {
    writeFileSync(file(), entry('k1'));
    writeFileSync(file('broken'), 'junk');
    writeFileSync(file('busy.new'), '');
    expect(await keys(command)).toMatchObject({ code, err: expect.stringContaining(error), out: '' });
    expect([textOf(), textOf('broken')]).toEqual([entry('k1'), 'junk']);
  });
});

describe('keys revoke', () => {
  it('takes the secret of the key out of the file', async () => {
    writeFileSync(file(), `${entry('k2')}\n${entry('k1')}\n`, { mode: 0o600 });
    const { code, out, err } = await keys('revoke k1 --keys-file keys.txt -o json');
    expect(code).toBe(0);
    expect(JSON.parse(out)).toMatchObject([
      { kid: 'k2', use: 'signs' },
      { kid: 'k1', use: 'revoked', fingerprint: null },
    ]);
    expect(err).toContain('messages signed with k1 are refused from now on');
    expect(textOf()).toBe(`${entry('k2')}\nk1:revoked\n`);
  });

  it.each([
    ['revoke --keys-file keys.txt', 2, "missing required argument 'kid'"],
    ['revoke k9 --keys-file keys.txt', 1, 'keys.txt has no key "k9"; it has k1'],
    ['revoke k0 --keys-file keys.txt', 1, 'the key "k0" in keys.txt is revoked already'],
    ['revoke k1 --keys-file keys.txt', 1, '"k1" is the only key in keys.txt: add another first'],
    ['revoke k1 --keys-file none', 2, 'none cannot be read: there is no such file'],
  ])('refuses "%s" and changes nothing', async (command, code, error) => {
    const text = `${entry('k1')}\nk0:revoked\n`;
    writeFileSync(file(), text);
    expect(await keys(command)).toMatchObject({ code, err: expect.stringContaining(error), out: '' });
    expect(textOf()).toBe(text);
  });
});

describe('keys derive', () => {
  it('makes the key of a worker from every key that is not revoked', async () => {
    writeFileSync(file(), `${entry('k2')},${entry('k1')},k0:revoked`, { mode: 0o600 });
    const { out, err } = await keys('derive --worker w7 --keys-file keys.txt');
    expect(err).toBe('');
    const roots = ['k2', 'k1'].map((kid) => ({ kid, secret: bytes(kid) }));
    expect(parseWorkerKey(out)).toEqual({ ok: true, key: deriveWorkerKey('w7', roots) });
    const asJson = await keys('derive --worker w7 -o json', { MESSAGE_KEYS_FILE: file() });
    expect(JSON.parse(asJson.out)).toEqual({ worker: 'w7', generations: ['k2', 'k1'], key: out.trim() });
  });

  it('takes a single secret as well', async () => {
    const parsed = parseWorkerKey((await keys('derive --worker w7', { A2A_TOKEN_SECRET: SECRET })).out);
    expect(parsed).toMatchObject({ ok: true, key: { workerId: 'w7' } });
  });

  it.each<[string, number, string, Record<string, string>]>([
    ['derive', 2, "required option '--worker <id>' not specified", {}],
    ['derive --worker w/7', 2, '--worker is "w/7", wanted up to 128 letters', {}],
    ['derive --worker w7', 78, 'no keys are set here: name a file with --keys-file', {}],
    ['derive --worker w7', 78, 'A2A_TOKEN_SECRET has 5 bytes', { A2A_TOKEN_SECRET: 'short' }],
    ['derive --worker w7 --keys-file none', 2, 'make it with: keys rotate --keys-file none', {}],
  ])('refuses "%s": %i, %s', async (command, code, error, env) => {
    expect(await keys(command, env)).toMatchObject({ code, err: expect.stringContaining(error), out: '' });
  });

  it('refuses to derive from the key of a worker', async () => {
    const own = (await keys('derive --worker w7', { A2A_TOKEN_SECRET: SECRET })).out.trim();
    expect(await keys('derive --worker w8', { WORKER_KEY: own })).toMatchObject({
      code: 78,
      err: expect.stringContaining('WORKER_KEY holds the keys of worker w7 only'),
    });
  });
});

describe('keys list', () => {
  it('shows what each key is good for, and never a secret', async () => {
    writeFileSync(file(), `${entry('k2')},${entry('k1')},k0:revoked`, { mode: 0o600 });
    const { out, err } = await keys('list --keys-file keys.txt');
    expect(err).toBe('');
    const rows = out.split('\n').map((line) => line.split(/\s+/).slice(0, 2));
    expect(rows).toEqual([['KID', 'USE'], ['k2', 'signs'], ['k1', 'verifies'], ['k0', 'revoked'], ['']]);
    for (const kid of ['k2', 'k1']) expect(out).not.toContain(bytes(kid).toString('base64url').slice(0, 8));
    const fromSetting = await keys('list -o ndjson', { MESSAGE_KEYS_FILE: file() });
    expect(
      fromSetting.out
        .trim()
        .split('\n')
        .map((line) => JSON.parse(line).kid),
    ).toEqual(['k2', 'k1', 'k0']);
  });

  it('says where they come from, and when everybody could read them', async () => {
    expect((await keys('list', { A2A_TOKEN_SECRET: SECRET })).err).toBe('A2A_TOKEN_SECRET\n');
    writeFileSync(file(), entry('k1'));
    chmodSync(file(), 0o644);
    expect((await keys('list --keys-file keys.txt')).err).toContain(
      'can be read by everyone on this machine (mode 644)',
    );
    expect(await keys('list')).toMatchObject({ code: 78 });
  });
});

it.each(['generate', 'derive', 'list', 'rotate', 'revoke'])('explains keys %s with an example', async (name) => {
  const { code, out } = await keys(`${name} --help`);
  expect(code).toBe(0);
  expect(out).toContain(`$ agent-system keys ${name}`);
});
