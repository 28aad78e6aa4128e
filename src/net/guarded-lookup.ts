/**
 * Asks for the addresses of a host once, keeps those the guard permits, and has the connection made to exactly these.
 * A second look-up at the time of the connect, as an ordinary client makes it, could be answered with another address
 * than the one that was checked (DNS rebinding).
 */
import { lookup } from 'node:dns/promises';
import { isIP, type LookupFunction } from 'node:net';
import { type AllowEntry, refusalOf, type Target } from './address-guard.ts';
import type { AddressKind } from './ip-address.ts';

export interface ResolvedAddress {
  address: string;
  family: number;
}

export type Resolve = (host: string) => Promise<ResolvedAddress[]>;

export type Permitted =
  | { ok: true; addresses: ResolvedAddress[] }
  | { ok: false; refused: { address: string; kind: AddressKind }[] };

const ADDRESSES_MAX = 32;

/** As the system resolves names, its hosts file included. */
export const systemResolve: Resolve = (host) => lookup(host, { all: true, verbatim: true });

/**
 * Not ok when no address of the host may be reached. Rejects when the name cannot be resolved.
 * @param target a literal IPv6 address stands in it without brackets
 */
export async function permittedAddresses(
  target: Target,
  allow: readonly AllowEntry[],
  resolve: Resolve = systemResolve,
): Promise<Permitted> {
  const family = isIP(target.host);
  const found = family > 0 ? [{ address: target.host, family }] : await resolve(target.host);
  const judged = found.slice(0, ADDRESSES_MAX).map((one) => ({ one, kind: refusalOf(target, one.address, allow) }));
  const addresses = judged.filter(({ kind }) => kind === null).map(({ one }) => one);
  if (addresses.length > 0) return { ok: true, addresses };
  return { ok: false, refused: judged.map(({ one, kind }) => ({ address: one.address, kind: kind ?? 'reserved' })) };
}

/** For `http.request({ lookup })`: answers the checked addresses, whatever the name says by now. */
export function pinnedLookup(addresses: readonly ResolvedAddress[]): LookupFunction {
  const [first] = addresses;
  return (_host, options, answer) => {
    if (options.all) return answer(null, [...addresses]);
    answer(null, first!.address, first!.family);
  };
}
