/**
 * Which addresses a request on somebody's behalf may go to: those of the public internet, and of the others only what
 * the operator's allow list names. Without it, whoever may choose an address, or owns the name in it, could have the
 * system call services that trust their network (server-side request forgery). Pure; `guarded-lookup.ts` asks the names.
 */
import { type AddressKind, contains, type IpRange, kindOf, parseAddress, parseRange } from './ip-address.ts';

/** One entry of an allow list: a host name or a range, on one port or (null) on every. */
export type AllowEntry = { readonly port: number | null } & ({ readonly host: string } | { readonly range: IpRange });

export const ALLOW_ENTRY_WANTED = 'a host, host:port, address, [address]:port or range such as 10.0.0.0/8';

/** Undefined when the text is none of those. */
export function parseAllowEntry(text: string): AllowEntry | undefined {
  const whole = parseRange(text.replace(/^\[([^\]]*)\]$/, '$1'));
  if (whole) return { range: whole, port: null };
  const [, inBrackets, plain, digits] = /^(?:\[([^\]]+)\]|([^:/[\]]+))(?::(\d{1,5}))?$/.exec(text) ?? [];
  const port = digits === undefined ? null : Number(digits);
  if (port !== null && (port < 1 || port > 65_535)) return undefined;
  const range = parseRange(inBrackets ?? plain ?? '');
  if (range) return { range, port };
  const host = plain === undefined ? undefined : hostNameOf(plain);
  return host === undefined ? undefined : { host, port };
}

export interface Target {
  /** As the URL names it. */
  host: string;
  port: number;
}

/** Null = it may be reached; else what kind of address it is. A text that is no address is refused as `reserved`. */
export function refusalOf(target: Target, address: string, allow: readonly AllowEntry[]): AddressKind | null {
  const found = parseAddress(address);
  if (!found) return 'reserved';
  const kind = kindOf(found);
  if (kind === 'public') return null;
  const host = target.host.toLowerCase().replace(/\.$/, '');
  const named = allow.some((entry) => {
    if (entry.port !== null && entry.port !== target.port) return false;
    return 'host' in entry ? entry.host === host : contains(entry.range, found);
  });
  return named ? null : kind;
}

/** In lower case, without the dot of the root. All digits and dots would be an address, if a wrong one. */
function hostNameOf(text: string): string | undefined {
  const host = text.toLowerCase().replace(/\.$/, '');
  if (host.length > 253 || /^[\d.]+$/.test(host)) return undefined;
  return /^[a-z0-9_]([a-z0-9_-]*[a-z0-9_])?(\.[a-z0-9_]([a-z0-9_-]*[a-z0-9_])?)*$/.test(host) ? host : undefined;
}
