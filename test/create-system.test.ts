import { expect, it } from 'vitest';
import { createSystem, type SystemOptions } from '../src/index.ts';

it.each([
  ['"mem"', 'mem'],
  ['{ url, password }', { url: 'redis://127.0.0.1:6379', password: 'a-password-that-is-not-told' }],
  ['null', null],
])('refuses the store %s, saying what is wanted', async (found, store) => {
  const refused = createSystem({ store } as unknown as SystemOptions);
  await expect(refused).rejects.toThrow(`store is ${found}, wanted 'memory', 'redis' or { redis:`);
  await expect(refused).rejects.not.toThrow('a-password-that-is-not-told');
});
