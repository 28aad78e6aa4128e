import { isIP } from 'node:net';

/** Reads one setting's text. A kind says in words what it wants, so every refusal can say it too. */
export interface Kind<T> {
  /** For the table of settings: `duration`, `whole number`, … */
  name: string;
  /** Ends the sentence "NAME is "x", wanted …". */
  wanted: string;
  /** The value, or undefined when the text is none. */
  read(text: string): T | undefined;
}

const DURATION_UNITS = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 } as const;
const BYTE_UNITS = { b: 1, kb: 1e3, mb: 1e6, gb: 1e9, kib: 2 ** 10, mib: 2 ** 20, gib: 2 ** 30 } as const;

/** `250ms`, `30s`, `5m`, `1h`, `7d` → milliseconds. A number without a unit is nobody's guess: refused. */
export function parseDuration(text: string): number | undefined {
  const [, amount, unit] = /^(\d{1,12}(?:\.\d{1,3})?)(ms|s|m|h|d)$/.exec(text) ?? [];
  if (amount === undefined) return undefined;
  return Math.round(Number(amount) * DURATION_UNITS[unit as keyof typeof DURATION_UNITS]);
}

/** `1MiB`, `64 KiB`, `500kB`, `4096` → bytes. */
export function parseBytes(text: string): number | undefined {
  const [, amount, unit = 'b'] = /^(\d{1,15}(?:\.\d{1,3})?) ?([kmg]i?b|b)?$/i.exec(text) ?? [];
  if (amount === undefined) return undefined;
  return Math.round(Number(amount) * BYTE_UNITS[unit.toLowerCase() as keyof typeof BYTE_UNITS]);
}

export function parseBoolean(text: string): boolean | undefined {
  if (/^(true|1|yes|on)$/i.test(text)) return true;
  return /^(false|0|no|off)$/i.test(text) ? false : undefined;
}

/** So many within a time. */
export interface Rate {
  readonly max: number;
  readonly perMs: number;
}

/** `600/1m`. */
export const rate: Kind<Rate> = {
  name: 'rate',
  wanted: 'a count per time from 1ms to 24h, such as 600/1m or 50/1s',
  read: (text) => {
    const [, count, time] = /^(\d{1,9}) ?\/ ?(\w+)$/.exec(text) ?? [];
    const perMs = within(parseDuration(time ?? ''), 1, DURATION_UNITS.d);
    return count === undefined || Number(count) < 1 || perMs === undefined ? undefined : { max: Number(count), perMs };
  },
};

/** Milliseconds between two durations, both included. */
export function duration(min: string, max: string): Kind<number> {
  return {
    name: 'duration',
    wanted: `a duration from ${min} to ${max}, such as 250ms, 30s, 5m or 1h`,
    read: (text) => within(parseDuration(text), parseDuration(min)!, parseDuration(max)!),
  };
}

export function bytes(min: string, max: string): Kind<number> {
  return {
    name: 'bytes',
    wanted: `a size from ${min} to ${max}, such as 64KiB or 1MiB`,
    read: (text) => within(parseBytes(text), parseBytes(min)!, parseBytes(max)!),
  };
}

export function wholeNumber(min: number, max: number): Kind<number> {
  return {
    name: 'whole number',
    wanted: `a whole number from ${min} to ${max}`,
    read: (text) => within(/^\d{1,15}$/.test(text) ? Number(text) : undefined, min, max),
  };
}

export const port: Kind<number> = { ...wholeNumber(0, 65_535), name: 'port' };

export const yesOrNo: Kind<boolean> = { name: 'true or false', wanted: 'true or false', read: parseBoolean };

/** One of some words, in any case; `aliases` are read but not advertised. */
export function oneOf<const T extends string>(words: readonly T[], aliases: Record<string, T> = {}): Kind<T> {
  return {
    name: words.join(', '),
    wanted: `one of ${words.join(', ')}`,
    read: (text) => words.find((word) => word === text.toLowerCase()) ?? ownValue(aliases, text.toLowerCase()),
  };
}

/** What `kind` reads, or this one word. */
export function orWord<T, const W extends string>(kind: Kind<T>, word: W): Kind<T | W> {
  return {
    name: `${kind.name} or ${word}`,
    wanted: `${kind.wanted}, or ${word}`,
    read: (text) => (text.toLowerCase() === word ? word : kind.read(text)),
  };
}

export const text: Kind<string> = { name: 'text', wanted: 'a text', read: (found) => found };

/** Names that stand in keys, stream names and addresses of messages. */
export const id: Kind<string> = {
  name: 'id',
  wanted: 'up to 128 letters, digits, dots, hyphens or underscores, beginning with a letter or digit',
  read: (found) => (/^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$/.test(found) ? found : undefined),
};

export const keyPrefix: Kind<string> = {
  name: 'text',
  wanted: 'up to 32 letters, digits, hyphens, underscores, dots or colons (braces would change the slots of the keys)',
  read: (found) => (/^[A-Za-z0-9._:-]{1,32}$/.test(found) ? found : undefined),
};

export const hostName: Kind<string> = {
  name: 'address',
  wanted: 'an address or host name without a port, such as 127.0.0.1, 0.0.0.0 or ::',
  read: (found) => (/^([A-Za-z0-9._-]{1,253}|[0-9A-Fa-f:.]{2,45})$/.test(found) ? found : undefined),
};

/** `host:port,host:port`; a host without a port has the usual one, one with colons stands in brackets. */
export function places(max: number, usualPort: number): Kind<{ host: string; port: number }[]> {
  return {
    name: 'list of host:port',
    wanted: `at most ${max} of host:port with commas between them, such as 10.0.0.1:${usualPort},10.0.0.2:${usualPort}`,
    read: (found) => {
      const read = split(found).map((part) => placeOf(part, usualPort));
      const all = read.filter((place) => place !== undefined);
      return all.length <= max && all.length === read.length ? all : undefined;
    },
  };
}

function placeOf(part: string, usualPort: number): { host: string; port: number } | undefined {
  const [, bracketed, plain, port] = /^(?:\[([0-9A-Fa-f:.]+)\]|([A-Za-z0-9._-]+))(?::(\d{1,5}))?$/.exec(part) ?? [];
  const host = bracketed ?? plain;
  const number = Number(port ?? usualPort);
  return host !== undefined && number > 0 && number <= 65_535 ? { host, port: number } : undefined;
}

const ADDRESSES_MAX = 64;

/** Addresses and networks; `loopback` and its like are read too. All of them at once would be no list. */
export const networks: Kind<string[]> = {
  name: 'networks',
  wanted: `at most ${ADDRESSES_MAX} addresses or networks with commas between them, such as 10.0.0.0/8,::1 (or loopback, linklocal, uniquelocal)`,
  read: (found) => {
    const parts = split(found);
    return parts.length <= ADDRESSES_MAX && parts.every(isNetwork) ? parts : undefined;
  },
};

function isNetwork(text: string): boolean {
  if (['loopback', 'linklocal', 'uniquelocal'].includes(text)) return true;
  const [address = '', length, ...more] = text.split('/');
  const version = isIP(address);
  if (version === 0 || more.length > 0) return false;
  return (
    length === undefined ||
    (/^\d{1,3}$/.test(length) && Number(length) >= 1 && Number(length) <= (version === 4 ? 32 : 128))
  );
}

export const httpUrl: Kind<string> = {
  name: 'URL',
  wanted: 'an http or https URL such as http://127.0.0.1:8001',
  read: (found) => (/^https?:\/\/[^\s/]/.test(found) && URL.canParse(found) ? found.replace(/\/+$/, '') : undefined),
};

/** The words of a person who lifts a safety. `false` and the like are most likely meant to keep it on. */
export const reason: Kind<string> = {
  name: 'reason',
  wanted: 'the reason in words, or nothing at all to stay safe',
  read: (found) => (parseBoolean(found) === false ? undefined : found),
};

/** `a,b, c` → its parts, at most `max`. */
export function list(max: number): Kind<string[]> {
  return {
    name: 'list',
    wanted: `at most ${max} values with commas between them`,
    read: (found) => {
      const parts = split(found);
      return parts.length <= max && !parts.includes('') ? parts : undefined;
    },
  };
}

const PAIRS_MAX = 64;

/** `k=v,k2=v2`, every name once. */
export function pairs<T>(values: { name: string; read(text: string): T | undefined }): Kind<Record<string, T>> {
  return {
    name: 'pairs',
    wanted: `at most ${PAIRS_MAX} pairs name=${values.name} with commas between them, every name once`,
    read: (found) => {
      const entries = split(found).map((part) => readPair(part, values.read));
      const names = new Set(entries.map((entry) => entry?.[0]));
      if (entries.length > PAIRS_MAX || names.size < entries.length || names.has(undefined)) return undefined;
      return Object.fromEntries(entries as [string, T][]);
    },
  };
}

export const amount = { name: 'number', read: readAmount };
export const word = { name: 'value', read: (found: string) => found };

function readAmount(found: string): number | undefined {
  return /^\d{1,12}(\.\d{1,6})?$/.test(found) ? Number(found) : undefined;
}

function readPair<T>(part: string, read: (text: string) => T | undefined): [string, T] | undefined {
  const [, name, rest] = /^([A-Za-z0-9][A-Za-z0-9._/-]{0,62})\s*=\s*(.{1,256})$/.exec(part) ?? [];
  const value = rest === undefined ? undefined : read(rest);
  return value === undefined ? undefined : [name!, value];
}

/** A comma at the end is forgiven: lists are often put together by programs. */
function split(found: string): string[] {
  const parts = found.split(',').map((part) => part.trim());
  if (parts.length > 1 && parts.at(-1) === '') parts.pop();
  return parts;
}

function within(value: number | undefined, min: number, max: number): number | undefined {
  return value !== undefined && value >= min && value <= max ? value : undefined;
}

function ownValue<T>(record: Record<string, T>, key: string): T | undefined {
  return Object.hasOwn(record, key) ? record[key] : undefined;
}
