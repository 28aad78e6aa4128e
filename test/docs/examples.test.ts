/** The examples people copy, run by the compiled program as their first lines say. */
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { type Client, createClient } from '../../src/index.ts';
import { RoleProcess } from '../e2e/support/role-process.ts';

const example = (name: string) => fileURLToPath(new URL(`../../examples/${name}.mjs`, import.meta.url));

let system: RoleProcess;
let client: Client;
let url: string;
beforeAll(async () => {
  const AGENTS = [example('word-count'), example('check-url')].join(',');
  system = await new RoleProcess('all', 'examples', { SERVER_ID: 'examples', COORDINATOR_PORT: '0', AGENTS }).ready();
  url = await system.url();
  client = createClient({ url });
});
afterAll(() => system?.kill());

it('word-count counts', async () => {
  const task = await client.submit('word-count', { text: 'to be or not to be', top: 2 });
  expect(await task.result({ timeout: '10s' })).toEqual({
    words: 6,
    commonest: [
      ['be', 2],
      ['to', 2],
    ],
  });
});

it('check-url fetches, and gives up on what does not exist', async () => {
  const found = await client.submit('check-url', { url: `${url}/health` });
  expect(await found.result({ timeout: '10s' })).toMatchObject({ status: 200 });
  const missing = await client.submit('check-url', { url: `${url}/nowhere` });
  await expect(missing.result({ timeout: '10s' })).rejects.toMatchObject({ task: { error: { code: 'not_found' } } });
});
