import { chmodSync, mkdtempSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import { ConfigurationError } from '../../src/errors.ts';
import { LINE_LENGTH_MAX } from '../../src/observability/line-length.ts';
import { reopenLogFiles } from '../../src/observability/log-file.ts';
import { createLogger, type LoggerOptions } from '../../src/observability/logger.ts';

function logging(over: Partial<LoggerOptions> = {}) {
  const lines: string[] = [];
  const destination = { write: (line: string) => void lines.push(line) };
  const logger = createLogger({ level: 'debug', file: null, format: 'json', destination, ...over });
  return { logger, lines, text: () => lines.join(''), line: () => JSON.parse(lines.at(-1) ?? '') };
}

function messagesOf(file: string): string[] {
  const lines = readFileSync(file, 'utf8').trimEnd().split('\n');
  return lines.map((line) => JSON.parse(line).msg);
}

const folders: string[] = [];
function folder(): string {
  folders.push(mkdtempSync(join(tmpdir(), 'log-')));
  return folders.at(-1)!;
}
afterEach(() => {
  for (const path of folders.splice(0)) rmSync(path, { recursive: true });
});

describe('json lines', () => {
  it('have the level as a word, an ISO time, the message and the fields', () => {
    const { logger, line } = logging({ base: { instance: 'c1' } });
    logger.warn({ task: 't1' }, 'Task failed');
    const { time, ...rest } = line();
    expect(rest).toEqual({ level: 'warn', instance: 'c1', task: 't1', msg: 'Task failed' });
    expect(new Date(time).toISOString()).toBe(time);
  });

  it('leave out what is below the level', () => {
    const { logger, lines } = logging({ level: 'warn' });
    logger.info('nothing');
    expect(lines).toEqual([]);
  });
});

describe('secrets', () => {
  const secret = 'hunter2"and\\more';

  it.each(['json', 'pretty'] as const)('never appear in %s, wherever somebody puts them', (format) => {
    const { logger, text } = logging({ format, secrets: [secret, undefined, null] });
    logger.info(`the key is ${secret}`);
    logger.info({ note: secret, deep: { list: [`x${secret}y`] } }, 'Started');
    logger.child({ bound: secret }).info('Started');
    logger.error({ err: new Error(`no ${secret}`, { cause: new Error(secret) }) }, 'Unexpected error');
    expect(text()).not.toContain('hunter2');
    expect(text()).toContain('[redacted]');
  });

  it('of bytes are found in their usual spellings', () => {
    const bytes = Uint8Array.from({ length: 32 }, (_, i) => i * 7 + 129);
    const { logger, text } = logging({ secrets: [bytes] });
    for (const spelling of ['base64url', 'base64', 'hex'] as const) logger.info(Buffer.from(bytes).toString(spelling));
    expect(text().match(/\[redacted\]/g)).toHaveLength(3);
  });

  it('of text are found in other spellings too, also within something longer', () => {
    const { logger, text } = logging({ secrets: [secret] });
    for (const before of ['', 'a', 'us', 'app:']) {
      for (const spelling of ['base64url', 'base64', 'hex'] as const) {
        const spelt = Buffer.from(`${before}${secret}:more`).toString(spelling);
        logger.info(`Basic ${spelt}`);
        expect(text()).not.toContain(spelt);
      }
    }
    logger.info(encodeURIComponent(secret));
    expect(text().match(/\[redacted\]/g)).toHaveLength(13);
  });

  it('are kept out from when they are added to the list', () => {
    const secrets = ['the-first-secret'];
    const { logger, text } = logging({ secrets });
    logger.info('the-second-secret');
    secrets.push('the-second-secret');
    logger.info('the-first-secret, the-second-secret');
    expect(text().match(/the-second-secret/g)).toHaveLength(1);
    expect(text()).toContain('[redacted], [redacted]');
  });

  it('are cut out whole when one begins with another', () => {
    const { logger, line } = logging({ secrets: ['abcdef', 'abcdef-and-more'] });
    logger.info('abcdef-and-more');
    expect(line().msg).toBe('[redacted]');
  });

  it.each([
    'password',
    'apiKey',
    'API_KEY',
    'x-api-key',
    'Authorization',
    'access_token',
    'clientSecret',
    'set-cookie',
  ])('in a field named %s are cut out at any depth', (name) => {
    const { logger, line, text } = logging();
    logger.info({ a: [{ [name]: 'open sesame' }], [name]: { inner: ['open sesame'] } }, 'Started');
    expect(text()).not.toContain('sesame');
    expect(line().a[0][name]).toBe('[redacted]');
  });

  it('are not seen in counts', () => {
    const { logger, line } = logging();
    logger.info({ inputTokens: 512, token: null, hasPassword: true }, 'Attempt ended');
    expect(line()).toMatchObject({ inputTokens: 512, token: null, hasPassword: true });
  });

  it('in a URL are cut out, the rest of it stays', () => {
    const { logger, line } = logging();
    logger.info({ url: 'redis://app:s3cr3t@redis.local:6379/0' }, 'Connected');
    expect(line().url).toBe('redis://app:[redacted]@redis.local:6379/0');
  });

  it('too short to be told from words are left alone', () => {
    const { logger, line } = logging({ secrets: ['', 'art'] });
    logger.info('Started');
    expect(line().msg).toBe('Started');
  });
});

describe('pretty lines', () => {
  it('show time, level, message and fields, without colours away from a terminal', () => {
    const { logger, lines } = logging({ format: 'pretty' });
    logger.warn({ task: 't1', why: 'two words', n: 3, deep: { a: 1 } }, 'Task failed');
    expect(lines[0]).toMatch(
      /^\d\d:\d\d:\d\d\.\d{3} WARN {2}Task failed task=t1 why="two words" n=3 deep=\{"a":1\}\n$/,
    );
  });

  it('show the stack of an error set in below', () => {
    const { logger, lines } = logging({ format: 'pretty' });
    logger.error({ err: new Error('broken') }, 'Unexpected error');
    const [head, first, second] = lines[0]!.split('\n');
    expect(head).toContain('Unexpected error');
    expect(first).toBe('    Error: broken');
    expect(second).toMatch(/^ {8}at /);
  });

  it('do not let what others wrote drive the terminal', () => {
    const { logger, lines } = logging({ format: 'pretty' });
    logger.info({ name: '\u001b[2J', err: new Error('\u001b]0;owned\u0007') }, 'a\u001b[31mb\nc');
    // biome-ignore lint/suspicious/noControlCharactersInRegex: finding them is the purpose
    expect(lines[0]).not.toMatch(/[\u0000-\u0008\u000b-\u001f\u007f]/);
    expect(lines[0]).toContain('a\\u001b[31mb\\u000ac');
  });
});

describe('every line', () => {
  it.each(['json', 'pretty'] as const)('is one line in %s and can be read, whatever is in it', (format) => {
    const { logger, lines } = logging({ format });
    const odd = '\u0000\u001b[2J\r\n\u2028\u2029\ud800 half \udfff\u007f"\\';
    logger.info({ odd, [odd]: 1, big: 1n, date: new Date(0), nan: Number.NaN }, odd);
    logger.info({ toJSON: () => odd } as object, 'Started');
    const circular: Record<string, unknown> = {};
    circular.self = circular;
    logger.info({ circular }, 'Started');
    expect(lines).toHaveLength(3);
    for (const line of lines) expect(line.indexOf('\n')).toBe(line.length - 1);
    if (format === 'json') expect(lines.map((line) => JSON.parse(line).level)).toEqual(['info', 'info', 'info']);
  });

  it('is cut where it is too long, says so, and keeps what it is about', () => {
    const { logger, line, lines } = logging({ base: { instance: 'w1' } });
    logger.info({ task: 't1', fields: { note: 'x'.repeat(1_000_000), list: Array(10_000).fill('y') } }, 'hello');
    expect(lines[0]!.length).toBeLessThanOrEqual(LINE_LENGTH_MAX);
    expect(line()).toMatchObject({ instance: 'w1', task: 't1', msg: 'hello', cut: expect.any(Number) });
    expect(line().fields.note).toMatch(/^x+…$/);
    logger.info('m'.repeat(1_000_000));
    expect(line().msg).toMatch(/^m+…$/);
    logger.info(
      { task: 't2', fields: Object.fromEntries(Array.from({ length: 50_000 }, (_, i) => [`f${i}`, i])) },
      'many',
    );
    expect(line()).toMatchObject({ instance: 'w1', task: 't2', msg: 'many', cut: expect.any(Number) });
    expect(line()).not.toHaveProperty('fields');
  });

  it('has no part of a secret that stood where it was cut', () => {
    const secret = 'canary-of-the-cut-0123456789';
    const { logger, text } = logging({ secrets: [secret] });
    logger.info({ note: `${'x'.repeat(8 * 1024 - 8)}${secret}${'y'.repeat(100_000)}` }, 'Started');
    expect(text()).not.toContain('canary');
  });
});

describe('LOG_FILE', () => {
  it('is for its owner alone when it is made, and keeps its mode when it is there', () => {
    const made = join(folder(), 'app.log');
    createLogger({ level: 'info', file: made, format: 'json' }).info('one');
    expect(statSync(made).mode & 0o777).toBe(0o600);
    const there = join(folder(), 'app.log');
    writeFileSync(there, '');
    chmodSync(there, 0o640);
    createLogger({ level: 'info', file: there, format: 'json' }).info('one');
    expect(statSync(there).mode & 0o777).toBe(0o640);
  });

  it('is made anew after it was moved away, once that is said', () => {
    const file = join(folder(), 'app.log');
    const logger = createLogger({ level: 'info', file, format: 'json' });
    logger.info('one');
    renameSync(file, `${file}.1`);
    logger.info('two');
    reopenLogFiles();
    logger.info('three');
    expect(messagesOf(`${file}.1`)).toEqual(['one', 'two']);
    expect(messagesOf(file)).toEqual(['three']);
  });

  it('is appended to, and its folder made', () => {
    const file = join(folder(), 'deep', 'app.log');
    for (const msg of ['one', 'two']) createLogger({ level: 'info', file, format: 'json' }).info(msg);
    expect(messagesOf(file)).toEqual(['one', 'two']);
  });

  it('is refused by name when it cannot be written', () => {
    const file = folder();
    expect(() => createLogger({ level: 'info', file, format: 'json' })).toThrow(ConfigurationError);
    expect(() => createLogger({ level: 'info', file, format: 'json' })).toThrow(
      /LOG_FILE ".*" cannot be written: EISDIR/,
    );
  });
});
