/** Turns one line of the JSON log into lines for people: time, level, message, then the fields. */
export function createPretty({ color }: { color: boolean }): (line: string) => string {
  const paint = color ? painted : (_: Style, text: string) => text;
  return (line) => {
    const { time, level, msg = '', err, ...fields } = JSON.parse(line);
    const shown = Object.entries(fields).map(([name, value]) => paint('dim', `${printable(name)}=`) + valueText(value));
    const head = [
      paint('dim', String(time).slice(11, 23)),
      paint(STYLES[level as keyof typeof STYLES] ?? 'plain', String(level).toUpperCase().padEnd(5)),
      printable(String(msg)),
    ];
    return `${[...head, ...shown].join(' ')}\n${err === undefined ? '' : errorText(err)}`;
  };
}

const CODES = { plain: '0', dim: '2', red: '31', yellow: '33', green: '32', cyan: '36', alarm: '41;97' };
type Style = keyof typeof CODES;

const STYLES: Record<string, Style> = {
  trace: 'dim',
  debug: 'cyan',
  info: 'green',
  warn: 'yellow',
  error: 'red',
  fatal: 'alarm',
};

function painted(style: Style, text: string): string {
  return `\u001b[${CODES[style]}m${text}\u001b[0m`;
}

/** Bare where that cannot be misread, else as JSON. */
function valueText(value: unknown): string {
  if (typeof value === 'string' && /^[\w@.:/+~-]+$/.test(value)) return value;
  return printable(JSON.stringify(value));
}

/** Stack and all, each line set in. */
function errorText(err: { stack?: unknown; message?: unknown } | unknown): string {
  const { stack, message } = (typeof err === 'object' && err !== null ? err : { message: err }) as Record<
    string,
    unknown
  >;
  const text = String(stack ?? message ?? JSON.stringify(err));
  return text
    .split('\n')
    .map((line) => `    ${printable(line)}\n`)
    .join('');
}

/** Control characters of what others wrote could move the cursor or repaint the terminal: they are shown as escapes. */
function printable(text: string): string {
  return text.replaceAll(/\p{Cc}/gu, (character) =>
    character === '\t' ? character : `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`,
  );
}
