/** Stream ids are `milliseconds-sequence`, both numbers. */
export function compareEntries(a: string, b: string): number {
  const [aTime = '0', aSeq = '0'] = a.split('-');
  const [bTime = '0', bSeq = '0'] = b.split('-');
  return Number(aTime) - Number(bTime) || Number(aSeq) - Number(bSeq);
}
