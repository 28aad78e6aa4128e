import { describe, expect, it } from 'vitest';
import { hashOfApiKey, readApiKeys } from '../../src/config/api-keys.ts';
import { cli } from './builders.ts';

describe('keys api', () => {
  it('prints the key once and an entry that lets it in', async () => {
    const { code, out, err } = await cli(['keys', 'api', '--name', 'ci', '--scopes', 'tasks:read,tasks:write']);
    const [key, entry] = out.trim().split('\n') as [string, string];
    expect(code).toBe(0);
    expect(key).toMatch(/^as_[0-9a-z]{52}$/);
    expect(entry).not.toContain(key);
    expect(err).not.toContain(key);
    expect(readApiKeys(`[${entry}]`)).toEqual({
      keys: [
        { name: 'ci', hash: hashOfApiKey(key), scopes: ['tasks:read', 'tasks:write'], tenant: null, expiresAt: null },
      ],
    });
  });

  it('makes another key each time', async () => {
    const make = async () => (await cli(['keys', 'api', '--name', 'a', '--scopes', 'admin'])).out.split('\n')[0];
    expect(await make()).not.toBe(await make());
  });

  it('takes a tenant and an end, and answers in JSON', async () => {
    const flags = ['--scopes', 'tasks:read', '--tenant', 'acme', '--expires-in', '1h'];
    const { out } = await cli(['keys', 'api', '--name', 'a', ...flags, '-o', 'json']);
    const { key, entry } = JSON.parse(out);
    expect(entry).toMatchObject({ name: 'a', tenant: 'acme', hash: `sha256:${hashOfApiKey(key)}` });
    expect(Date.parse(entry.expiresAt) - Date.now()).toBeGreaterThan(3_590_000);
  });

  it.each<[string[], string]>([
    [['--scopes', 'admin'], "required option '--name <name>'"],
    [['--name', 'a'], "required option '--scopes <list>'"],
    [['--name', 'a', '--scopes', 'root'], 'Wanted tasks:read, tasks:write, admin'],
    [['--name', 'a', '--scopes', 'admin', '--tenant', 't'], 'has a tenant and the scope admin'],
    [['--name', '', '--scopes', 'admin'], 'name'],
  ])('refuses %j', async (flags, message) => {
    const { code, out, err } = await cli(['keys', 'api', ...flags]);
    expect([code, out]).toEqual([2, '']);
    expect(err).toContain(message);
  });
});
