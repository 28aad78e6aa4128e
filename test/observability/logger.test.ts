import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import { ConfigurationError } from '../../src/errors.ts';
import { createLogger, type LoggerOptions } from '../../src/observability/logger.ts';

function logging(over: Partial<LoggerOptions> = {}) {
  const lines: string[] = [];
  const destination = { write: (line: string) => void lines.push(line) };
  const logger = createLogger({ level: 'debug', file: null, format: 'json', destination, ...over });
  return { logger, lines, text: () => lines.join(''), line: () => JSON.parse(lines.at(-1) ?? '') };
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

describe('LOG_FILE', () => {
  it('is appended to, and its folder made', () => {
    const file = join(folder(), 'deep', 'app.log');
    for (const msg of ['one', 'two']) createLogger({ level: 'info', file, format: 'json' }).info(msg);
    const lines = readFileSync(file, 'utf8').trimEnd().split('\n');
    expect(lines.map((line) => JSON.parse(line).msg)).toEqual(['one', 'two']);
  });

  it('is refused by name when it cannot be written', () => {
    const file = folder();
    expect(() => createLogger({ level: 'info', file, format: 'json' })).toThrow(ConfigurationError);
    expect(() => createLogger({ level: 'info', file, format: 'json' })).toThrow(
      /LOG_FILE ".*" cannot be written: EISDIR/,
    );
  });
});
