/** Whether `a` is the later life: incarnations begin with the store's time of their registration, which only rises. */
export function isLaterIncarnation(a: string, b: string): boolean {
  return Number.parseInt(a, 10) > Number.parseInt(b, 10);
}
