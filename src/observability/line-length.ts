/** Characters of one line at most: collectors of logs drop or split longer ones, and a split line is no JSON. */
export const LINE_LENGTH_MAX = 64 * 1024;
/** Of one text in a line that is too long, so that the others find room. */
const TEXT_LENGTH_MAX = 8 * 1024;
const LIST_LENGTH_MAX = 100;
/** Kept of a line that is too long even so. */
const HEAD_FIELDS = ['level', 'time', 'instance', 'role', 'task', 'attempt', 'agent', 'msg'];

/** A line that is too long is cut where it is long, says so in `cut` (its own length), and is valid JSON as before. */
export function withinLength(line: string): string {
  if (line.length <= LINE_LENGTH_MAX) return line;
  const fields = JSON.parse(line) as Record<string, unknown>;
  const shorter = lineOf({ ...(shortened(fields) as object), cut: line.length });
  if (shorter.length <= LINE_LENGTH_MAX) return shorter;
  const head = HEAD_FIELDS.filter((name) => name in fields).map((name) => [name, headText(fields[name])]);
  return lineOf({ ...Object.fromEntries(head), cut: line.length });
}

function lineOf(fields: object): string {
  return `${JSON.stringify(fields)}\n`;
}

function shortened(value: unknown): unknown {
  if (typeof value === 'string') return clipped(value, TEXT_LENGTH_MAX);
  if (Array.isArray(value)) return value.slice(0, LIST_LENGTH_MAX).map(shortened);
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([name, inner]) => [name, shortened(inner)]));
}

function headText(value: unknown): unknown {
  return typeof value === 'object' && value !== null ? '…' : shortened(value);
}

function clipped(text: string, max: number): string {
  return text.length > max ? `${text.slice(0, max - 1)}…` : text;
}
