import { type Config, type ConfigInput, loadConfig } from '../../src/config/load.ts';
import { ConfigurationError } from '../../src/errors.ts';

export const GOOD_SECRET = 'k7Jw2mQx9vB4nR8tY1pL5sD3fG6hZ0cA';

/** Files by path; anything else does not exist. */
export function filesOf(files: Record<string, string>): (path: string) => string {
  return (path) => {
    const text = files[path];
    if (text === undefined) throw Object.assign(new Error(`no such file: ${path}`), { code: 'ENOENT' });
    return text;
  };
}

export function anInput(env: Record<string, string>, over: Partial<ConfigInput> = {}): ConfigInput {
  return {
    env,
    readFile: filesOf({}),
    hostname: 'web-3',
    randomId: (length) => 'k2f8x1aaaa'.slice(0, length),
    ...over,
  };
}

/** The configuration of `--role all`, unless the environment names another role. */
export function load(env: Record<string, string>, over: Partial<ConfigInput> = {}): Config {
  const config = loadConfig(anInput({ AGENT_ROLE: 'all', ...env }, over));
  if (!config) throw new Error('no role: the input of this test is wrong');
  return config;
}

/** What is refused; empty when nothing is. */
export function problemsOf(env: Record<string, string>, over: Partial<ConfigInput> = {}): readonly string[] {
  try {
    load(env, over);
    return [];
  } catch (error) {
    if (error instanceof ConfigurationError) return error.problems;
    throw error;
  }
}
