import { describe, expect, it } from 'vitest';
import { parseAllowEntry, refusalOf } from '../../src/net/address-guard.ts';
import { permittedAddresses, pinnedLookup } from '../../src/net/guarded-lookup.ts';

const allowing = (...entries: string[]) => entries.map((entry) => parseAllowEntry(entry)!);

describe('the allow list', () => {
  it.each([
    ['agents.internal', 'agents.internal', 80, '10.1.1.1'],
    ['Agents.Internal.', 'agents.internal', 80, '10.1.1.1'],
    ['agents.internal:9000', 'agents.internal', 9000, '10.1.1.1'],
    ['agents.internal', 'AGENTS.internal.', 9000, '169.254.169.254'],
    ['10.0.0.0/8', 'any.name', 443, '10.9.9.9'],
    ['127.0.0.1', 'localhost', 9000, '127.0.0.1'],
    ['127.0.0.1:9000', 'localhost', 9000, '127.0.0.1'],
    ['127.0.0.1:9000', '127.0.0.1', 9000, '::ffff:127.0.0.1'],
    ['[::1]:9000', '::1', 9000, '::1'],
    ['[::1]', '::1', 80, '::1'],
    ['::1', '::1', 80, '::1'],
    ['fd00::/8', 'x', 80, 'fd00::5'],
  ])('%s lets %s:%i go to %s', (entry, host, port, address) => {
    expect(refusalOf({ host, port }, address, allowing(entry))).toBeNull();
  });

  it.each([
    ['agents.internal', 'other.internal', 80, '10.1.1.1', 'private'],
    ['agents.internal', 'x.agents.internal', 80, '10.1.1.1', 'private'],
    ['agents.internal:9000', 'agents.internal', 9001, '10.1.1.1', 'private'],
    ['127.0.0.1:9000', 'localhost', 6379, '127.0.0.1', 'loopback'],
    ['10.0.0.0/8', '169.254.169.254', 80, '169.254.169.254', 'link-local'],
    ['localhost', '127.0.0.1', 80, '127.0.0.1', 'loopback'],
  ])('%s keeps %s:%i from %s', (entry, host, port, address, kind) => {
    expect(refusalOf({ host, port }, address, allowing(entry))).toBe(kind);
  });

  it('is not needed for public addresses', () => {
    expect(refusalOf({ host: 'example.com', port: 443 }, '93.184.216.34', [])).toBeNull();
  });

  it.each(['', 'a b', 'host:0', 'host:65536', 'host:', '10.0.0.1/8', '1.2.3', '*', 'http://host', '::1:9000:x', '-a'])(
    'does not take %j',
    (text) => {
      expect(parseAllowEntry(text)).toBeUndefined();
    },
  );
});

describe('permittedAddresses', () => {
  const asked: string[] = [];
  const resolvingTo =
    (...addresses: string[]) =>
    async (host: string) => {
      asked.push(host);
      return addresses.map((address) => ({ address, family: address.includes(':') ? 6 : 4 }));
    };

  it('keeps those of a name that may be reached', async () => {
    const found = await permittedAddresses(
      { host: 'mixed.example', port: 80 },
      [],
      resolvingTo('10.0.0.1', '8.8.8.8', '::1'),
    );
    expect(found).toEqual({ ok: true, addresses: [{ address: '8.8.8.8', family: 4 }] });
  });

  it('says what the others are when none may be', async () => {
    const found = await permittedAddresses(
      { host: 'inside.example', port: 80 },
      [],
      resolvingTo('169.254.169.254', '::1'),
    );
    expect(found).toEqual({
      ok: false,
      refused: [
        { address: '169.254.169.254', kind: 'link-local' },
        { address: '::1', kind: 'loopback' },
      ],
    });
  });

  it('asks nobody about a literal address', async () => {
    asked.length = 0;
    expect(await permittedAddresses({ host: '127.0.0.1', port: 80 }, [], resolvingTo('8.8.8.8'))).toMatchObject({
      ok: false,
    });
    expect(asked).toEqual([]);
  });

  it('pins a connection to what it found', () => {
    const answers: unknown[] = [];
    const lookup = pinnedLookup([
      { address: '8.8.8.8', family: 4 },
      { address: '8.8.4.4', family: 4 },
    ]);
    lookup('mixed.example', {}, (_error, address, family) => answers.push([address, family]));
    lookup('mixed.example', { all: true }, (_error, addresses) => answers.push(addresses));
    expect(answers).toEqual([
      ['8.8.8.8', 4],
      [
        { address: '8.8.8.8', family: 4 },
        { address: '8.8.4.4', family: 4 },
      ],
    ]);
  });
});
