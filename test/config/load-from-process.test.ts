import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { loadClientConfigFromProcess, loadConfigFromProcess } from '../../src/config/load-from-process.ts';
import { SETTINGS } from '../../src/config/schema.ts';

const randomId = (length: number) => 'r'.repeat(length);
let folder: string;
let before: string;

beforeEach(() => {
  before = process.cwd();
  folder = mkdtempSync(join(tmpdir(), 'config-'));
  process.chdir(folder);
  for (const name of Object.keys(SETTINGS)) vi.stubEnv(name, undefined);
});

afterEach(() => {
  vi.unstubAllEnvs();
  process.chdir(before);
  rmSync(folder, { recursive: true });
});

describe('loadConfigFromProcess', () => {
  it('reads the environment before the .env of the working directory, and secrets from files', () => {
    writeFileSync('.env', 'WORKER_SLOTS=7\nLOG_LEVEL=warn\nAPI_KEY_FILE=key.txt\n');
    writeFileSync('key.txt', 'a-key-of-mine\n');
    vi.stubEnv('LOG_LEVEL', 'DEBUG');
    const config = loadConfigFromProcess({ flags: { role: 'all' }, randomId });
    expect([config?.work.slots, config?.log.level, config?.access.apiKey]).toEqual([7, 'debug', 'a-key-of-mine']);
    expect(config?.id).toMatch(/^all-.+-rrrrrr$/);
    expect(loadClientConfigFromProcess().apiKey).toBe('a-key-of-mine');
  });

  it('is content without a .env, and has no role by itself', () => {
    expect(loadConfigFromProcess({ randomId })).toBeNull();
  });

  it('refuses a .env that is there but cannot be read', () => {
    mkdirSync('.env');
    expect(() => loadConfigFromProcess({ randomId })).toThrow(/\.env cannot be read \(EISDIR\)/);
  });
});
