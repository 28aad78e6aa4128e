/** Crockford's base32 in lower case: digits before letters, so encoded numbers of one width sort as numbers. */
export const BASE32 = '0123456789abcdefghjkmnpqrstvwxyz';

/** `value` (a non-negative safe integer) as exactly `width` characters. */
export function encodeBase32(value: number, width: number): string {
  let text = '';
  let rest = value;
  for (let i = 0; i < width; i++) {
    text = BASE32[rest % 32] + text;
    rest = Math.floor(rest / 32);
  }
  return text;
}

/** The number that `encodeBase32` wrote; NaN when a character is not of the alphabet. */
export function decodeBase32(text: string): number {
  let value = 0;
  for (const char of text) {
    const digit = BASE32.indexOf(char);
    if (digit < 0) return Number.NaN;
    value = value * 32 + digit;
  }
  return value;
}
