import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { loadAgents } from '../../src/agent/load-agents.ts';

let folder = '';
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'agents-'));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

async function load(name: string, text: string) {
  await writeFile(join(folder, name), text);
  return loadAgents([name], folder);
}

const agent = (name: string) => `{ name: '${name}', run: () => 1 }`;

it.each([
  ['a default export', 'default.mjs', `export default ${agent('a')}`, ['a']],
  [
    'named exports, each once',
    'named.mjs',
    `export const a = ${agent('a')}; export const b = ${agent('b')}; export default a; export const limit = 3;`,
    ['a', 'b'],
  ],
  ['an array', 'array.mjs', `export default [${agent('a')}, ${agent('b')}]`, ['a', 'b']],
])('loads %s', async (_title, name, text, names) => {
  expect((await load(name, text)).map((found) => found.name).sort()).toEqual(names);
});

it.each([
  ['nothing exported', 'none.mjs', 'const a = 1;', 'exports nothing'],
  ['something else', 'else.mjs', 'export const limit = 3; export default "x"', 'none of which is an agent'],
  ['a wrong agent', 'wrong.mjs', `export default { name: 'No Good', run: () => 1 }`, 'found "No Good"'],
  ['a module that throws', 'throws.mjs', `throw new Error('on purpose')`, 'could not be loaded: on purpose'],
  ['another kind of file', 'agent.json', '{}', 'ends in ".json"; wanted: .js, .mjs, .ts, .mts'],
])('refuses %s, naming the file', async (_title, name, text, message) => {
  const loading = load(name, text);
  await expect(loading).rejects.toThrow(message);
  await expect(loading).rejects.toThrow(join(folder, name));
});

it('refuses a file that is not there, and a folder', async () => {
  await expect(loadAgents(['missing.mjs'], folder)).rejects.toThrow('missing.mjs does not exist');
  await expect(loadAgents(['.'], folder)).rejects.toThrow('is not a file');
});

it('names every module that it refuses, not only the first', async () => {
  await writeFile(join(folder, 'fine.mjs'), `export default ${agent('a')}`);
  await writeFile(join(folder, 'empty.mjs'), '');
  const refused = await loadAgents(['missing.mjs', 'fine.mjs', 'empty.mjs'], folder).catch((error: unknown) => error);
  expect(refused).toMatchObject({ code: 'AGENT_MODULE_REFUSED' });
  expect((refused as Error).message.split('\n')).toEqual([
    expect.stringContaining('missing.mjs does not exist'),
    expect.stringContaining('empty.mjs exports nothing'),
  ]);
});

it('loads TypeScript where Node runs it, and says what Node lacks where it does not', async () => {
  const loading = load('typed.ts', `const run: () => string = () => 'a';\nexport default ${agent('typed')}`);
  if ((process.features as { typescript?: unknown }).typescript) {
    await expect(loading).resolves.toMatchObject([{ name: 'typed' }]);
  } else await expect(loading).rejects.toThrow('Node 22.18 or later');
});
