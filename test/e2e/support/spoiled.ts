/** The envelope with one letter of its claims changed; header and signature stay as they are. */
export function spoiled(envelope: string): string {
  const [header = '', claims = '', signature = ''] = envelope.split('.');
  const at = Math.floor(claims.length / 2);
  const other = claims[at] === 'A' ? 'B' : 'A';
  return [header, claims.slice(0, at) + other + claims.slice(at + 1), signature].join('.');
}
