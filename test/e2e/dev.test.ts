/* `agent-system dev` as somebody uses it who writes an agent: files change, and the next task runs what they say now. */
import { spawn } from 'node:child_process';
import { mkdir, mkdtemp, rename, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { createClient } from '../../src/index.ts';
import { within } from './support/eventually.ts';
import { endWithTest } from './support/process-guard.ts';
import { BIN } from './support/role-process.ts';

/** The promise of the help text is two seconds; this bound only ends a test that hangs. */
const LIVE_MS = 10_000;

describe('dev', () => {
  let dir: string;
  let said: string;
  let url: string;
  let end: () => Promise<number | null>;
  const say = (name: string, text: string) => writeFile(join(dir, name), text);
  const answer = async (agent: string) => {
    const task = await createClient({ url }).submit(agent, { n: 1 });
    return task.result({ timeout: '5s' });
  };

  beforeEach(async () => {
    dir = await mkdtemp(join(tmpdir(), 'agent-system-dev-'));
    await mkdir(join(dir, 'agents'));
    await say('word.mjs', "export const word = 'one';");
    await say(
      'agents/hello.mjs',
      "import { word } from '../word.mjs';\nexport default { name: 'hello', run: () => word };",
    );
    said = '';
    const { PATH = '', HOME = '' } = process.env;
    const env = { PATH, HOME, COORDINATOR_PORT: '0', REDIS_URL: 'redis://127.0.0.1:1' };
    const child = endWithTest(
      spawn(process.execPath, [BIN, 'dev'], { cwd: dir, env, stdio: ['ignore', 'pipe', 'pipe'] }),
    );
    for (const stream of [child.stdout, child.stderr]) stream.setEncoding('utf8').on('data', (text) => (said += text));
    const exited = new Promise<number | null>((resolve) => child.once('close', resolve));
    end = async () => {
      child.kill('SIGTERM');
      return exited;
    };
    url = (await within(LIVE_MS, 'dev names its address', () => /API +(\S+)\/v1\/tasks/.exec(said)?.[1]))!;
  });

  afterEach(async () => {
    await end();
    await rm(dir, { recursive: true, force: true });
  });

  it('runs what the agent, and the files behind it, say now', async () => {
    expect(await answer('hello')).toBe('one');
    await say('word.mjs', "export const word = 'two';");
    await within(LIVE_MS, 'the new word', async () => (await answer('hello')) === 'two');
    // As editors save: a new file in the place of the old.
    await say('new.tmp', "export default { name: 'hello', run: () => 'three' };");
    await rename(join(dir, 'new.tmp'), join(dir, 'agents/hello.mjs'));
    await within(LIVE_MS, 'the new handler', async () => (await answer('hello')) === 'three');
    expect(await end()).toBe(0);
  });

  it('keeps an agent whose file is broken, says why and where, and takes it once it is mended', async () => {
    await say('agents/hello.mjs', "export default {\n  name: 'hello',\n  run: () => 'three' +;\n};");
    await within(LIVE_MS, 'the reason', () =>
      said.includes('agents/hello.mjs is not loaded, the one from before stays'),
    );
    expect(said).toMatch(/could not be loaded: .*\(line 3\)/);
    expect(await answer('hello')).toBe('one');
    await say('agents/hello.mjs', "export default { name: 'hello', run: () => 'four' };");
    await within(LIVE_MS, 'the mended handler', async () => (await answer('hello')) === 'four');
  });

  it('takes a new file, and a new name, without being started anew', async () => {
    await say('agents/bye.mjs', "export default { name: 'bye', run: () => 'bye' };");
    await within(LIVE_MS, 'the new agent', async () => (await answer('bye')) === 'bye');
    await say('agents/twice.mjs', "export default { name: 'bye', run: () => 'other' };");
    await within(LIVE_MS, 'the refusal', () =>
      said.includes('kept the agents from before: Two agents are named "bye"'),
    );
    expect(await answer('bye')).toBe('bye');
  });
});
