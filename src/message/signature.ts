/**
 * HMAC-SHA-256 as RFC 7515 (HS256) writes it, synchronous: an awaited signature would cost ten times as much and
 * would make the order of a simulation depend on the thread pool.
 */
import { createHmac, type KeyObject, timingSafeEqual } from 'node:crypto';

/** The MAC over the UTF-8 bytes of `text`, as base64url without padding. */
export function macOf(key: KeyObject, text: string): string {
  return createHmac('sha256', key).update(text).digest('base64url');
}

/**
 * Compares the MACs as text, in constant time. As bytes, four different last characters would decode to the same MAC,
 * and a stored byte could be flipped unnoticed. Both calls use UTF-8, never `latin1`, which maps foreign characters
 * onto signed ones.
 */
export function macMatches(key: KeyObject, text: string, mac: string): boolean {
  const expected = Buffer.from(macOf(key, text));
  const found = Buffer.from(mac);
  return found.length === expected.length && timingSafeEqual(found, expected);
}
