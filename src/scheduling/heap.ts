/** A binary min-heap in a plain array: the least element first, `before` a strict order. */
export interface Heap<T> {
  readonly size: number;
  peek(): T | undefined;
  pop(): T | undefined;
  /** Puts the first element where it belongs after its order changed for the worse. */
  settleFirst(): void;
}

/** Takes over `values` (linear time, no copy). */
export function heapOf<T>(values: T[], before: (a: T, b: T) => boolean): Heap<T> {
  for (let at = (values.length >> 1) - 1; at >= 0; at--) sink(values, at, before);
  return {
    get size() {
      return values.length;
    },
    peek: () => values[0],
    pop: () => {
      const first = values[0];
      const last = values.pop();
      if (values.length > 0) {
        values[0] = last!;
        sink(values, 0, before);
      }
      return first;
    },
    settleFirst: () => sink(values, 0, before),
  };
}

function sink<T>(values: T[], start: number, before: (a: T, b: T) => boolean): void {
  const value = values[start];
  if (value === undefined) return;
  let at = start;
  for (;;) {
    let child = 2 * at + 1;
    if (child >= values.length) break;
    if (child + 1 < values.length && before(values[child + 1]!, values[child]!)) child++;
    if (!before(values[child]!, value)) break;
    values[at] = values[child]!;
    at = child;
  }
  values[at] = value;
}
