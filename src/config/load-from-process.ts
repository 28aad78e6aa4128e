/** The one place that looks at the process environment, the host's name and the `.env` of the working directory. */
import { readFileSync } from 'node:fs';
import { hostname } from 'node:os';
import { join } from 'node:path';
import { ConfigurationError } from '../errors.ts';
import { parseDotenv } from './dotenv.ts';
import {
  type ClientConfig,
  type Config,
  type ConfigFlags,
  type ConfigSources,
  loadClientConfig,
  loadConfig,
} from './load.ts';
import { type GivenKeys, loadGivenKeys } from './message-keys.ts';
import { codeOf } from './sources.ts';

/** Null when no role is named anywhere; throws ConfigurationError (exit 78). */
export function loadConfigFromProcess(
  o: { flags?: ConfigFlags; randomId: (length: number) => string } & Partial<ConfigSources>,
): Config | null {
  return loadConfig({ ...outside(), hostname: hostname(), ...o, flags: o.flags ?? {} });
}

export function loadClientConfigFromProcess(): ClientConfig {
  return loadClientConfig(outside());
}

/** Null when no keys are set. */
export function loadKeysFromProcess(): GivenKeys | null {
  const { env, dotenvText, readFile } = outside();
  return loadGivenKeys({ env, dotenv: parseDotenv(dotenvText ?? '').values, readFile });
}

function outside() {
  return { env: process.env, dotenvText: readDotenv(join(process.cwd(), '.env')), readFile };
}

function readFile(path: string): string {
  return readFileSync(path, 'utf8');
}

function readDotenv(path: string): string | undefined {
  try {
    return readFile(path);
  } catch (error) {
    if (codeOf(error) === 'ENOENT') return undefined;
    throw new ConfigurationError([`${path} cannot be read (${codeOf(error)})`]);
  }
}
