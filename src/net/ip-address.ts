/**
 * IP addresses as numbers, and what kind of network each belongs to (the special-purpose registries of IANA, RFC 6890).
 * Pure. Whoever connects on behalf of a configured or submitted address asks here whether it leads to the public
 * internet; everything that does not, or cannot be told, is not public.
 */
import { isIP, isIPv4 } from 'node:net';

export interface IpAddress {
  readonly family: 4 | 6;
  readonly bits: bigint;
}

/** The addresses that share the first `prefix` bits. */
export interface IpRange {
  readonly family: 4 | 6;
  readonly prefix: number;
  readonly bits: bigint;
}

export type AddressKind =
  | 'public'
  | 'loopback'
  | 'private'
  | 'link-local'
  | 'carrier-grade NAT'
  | 'multicast'
  | 'unspecified'
  | 'reserved';

const WIDTH = { 4: 32, 6: 128 } as const;

/**
 * Undefined when the text is no address. An IPv6 address that only carries an IPv4 one (mapped, translated, NAT64) is
 * that IPv4 address: it is the one that is reached in the end.
 */
export function parseAddress(text: string): IpAddress | undefined {
  const plain = text.replace(/%.*$/, '');
  const family = isIP(plain);
  if (family === 4) return { family, bits: bitsOfV4(plain) };
  if (family !== 6) return undefined;
  const address: IpAddress = { family: 6, bits: bitsOfV6(plain) };
  const carriesV4 = V4_CARRIERS.some((range) => contains(range, address));
  return carriesV4 ? { family: 4, bits: address.bits & 0xffff_ffffn } : address;
}

/** `10.0.0.0/8`, `fd00::/8`, or one address. Undefined when the text is no range, or has bits beyond its prefix. */
export function parseRange(text: string): IpRange | undefined {
  const [, base = '', length] = /^([^/]*)(?:\/(\d{1,3}))?$/.exec(text) ?? [];
  const address = parseAddress(base);
  if (!address) return undefined;
  // `::ffff:10.0.0.0/104` has become IPv4, where its prefix means something else.
  if (length !== undefined && address.family === 4 && base.includes(':')) return undefined;
  const width = WIDTH[address.family];
  const prefix = length === undefined ? width : Number(length);
  if (prefix > width) return undefined;
  const rest = BigInt(width - prefix);
  if ((address.bits >> rest) << rest !== address.bits) return undefined;
  return { family: address.family, prefix, bits: address.bits };
}

export function contains(range: IpRange, address: IpAddress): boolean {
  if (range.family !== address.family) return false;
  const rest = BigInt(WIDTH[range.family] - range.prefix);
  return address.bits >> rest === range.bits >> rest;
}

export function kindOf(address: IpAddress): AddressKind {
  const special = SPECIAL.find(({ range }) => contains(range, address));
  if (special) return special.kind;
  // Of IPv6 only this eighth was ever given out, so whatever is defined outside it later is refused until it is known.
  return address.family === 4 || contains(GLOBAL_UNICAST, address) ? 'public' : 'reserved';
}

function bitsOfV4(text: string): bigint {
  return text.split('.').reduce((bits, part) => (bits << 8n) | BigInt(part), 0n);
}

function bitsOfV6(text: string): bigint {
  const [head = '', tail] = withoutDottedEnd(text).split('::');
  const left = groupsOf(head);
  const right = tail === undefined ? [] : groupsOf(tail);
  const gap = new Array<string>(8 - left.length - right.length).fill('0');
  return [...left, ...gap, ...right].reduce((bits, group) => (bits << 16n) | BigInt(`0x${group}`), 0n);
}

function groupsOf(text: string): string[] {
  return text === '' ? [] : text.split(':');
}

/** `::ffff:127.0.0.1` → `::ffff:7f00:1`. */
function withoutDottedEnd(text: string): string {
  const colon = text.lastIndexOf(':');
  const end = text.slice(colon + 1);
  if (!isIPv4(end)) return text;
  const bits = bitsOfV4(end);
  return `${text.slice(0, colon + 1)}${(bits >> 16n).toString(16)}:${(bits & 0xffffn).toString(16)}`;
}

function rangeOf(base: string, prefix: number): IpRange {
  return isIPv4(base) ? { family: 4, prefix, bits: bitsOfV4(base) } : { family: 6, prefix, bits: bitsOfV6(base) };
}

/** Mapped (RFC 4291), translated (RFC 2765) and the well-known prefix of NAT64 (RFC 6052). */
const V4_CARRIERS = [rangeOf('::ffff:0:0', 96), rangeOf('::ffff:0:0:0', 96), rangeOf('64:ff9b::', 96)];

const GLOBAL_UNICAST = rangeOf('2000::', 3);

const SPECIAL: readonly { range: IpRange; kind: AddressKind }[] = (
  [
    ['0.0.0.0', 8, 'unspecified'],
    ['10.0.0.0', 8, 'private'],
    ['100.64.0.0', 10, 'carrier-grade NAT'],
    ['127.0.0.0', 8, 'loopback'],
    // The metadata services of the clouds live here: 169.254.169.254.
    ['169.254.0.0', 16, 'link-local'],
    ['172.16.0.0', 12, 'private'],
    ['192.0.0.0', 24, 'reserved'],
    ['192.0.2.0', 24, 'reserved'],
    ['192.88.99.0', 24, 'reserved'],
    ['192.168.0.0', 16, 'private'],
    ['198.18.0.0', 15, 'reserved'],
    ['198.51.100.0', 24, 'reserved'],
    ['203.0.113.0', 24, 'reserved'],
    ['224.0.0.0', 4, 'multicast'],
    ['240.0.0.0', 4, 'reserved'],
    ['::', 128, 'unspecified'],
    ['::1', 128, 'loopback'],
    // Teredo and the other protocol assignments; 6to4, which carries any IPv4 address; documentation.
    ['2001::', 23, 'reserved'],
    ['2001:db8::', 32, 'reserved'],
    ['2002::', 16, 'reserved'],
    ['3fff::', 20, 'reserved'],
    ['fc00::', 7, 'private'],
    ['fe80::', 10, 'link-local'],
    ['fec0::', 10, 'private'],
    ['ff00::', 8, 'multicast'],
  ] as const
).map(([base, prefix, kind]) => ({ range: rangeOf(base, prefix), kind }));
