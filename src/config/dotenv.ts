/**
 * Reads a `.env` text: `NAME=value`, `export NAME=value`, comments, quotes; in double quotes `\n`, `\"` and `\\`. Node's
 * own `parseEnv` joins a line it does not understand with the next one, which loses a setting without a word.
 */
export interface Dotenv {
  values: Record<string, string>;
  problems: string[];
}

const LINE = /^(?:export\s+)?([A-Za-z_][A-Za-z0-9_.]*)\s*=\s*(.*)$/;
const QUOTED = /^(?:"((?:[^"\\]|\\.)*)"|'([^']*)'|`([^`]*)`)\s*(?:#.*)?$/;

export function parseDotenv(text: string): Dotenv {
  const result: Dotenv = { values: {}, problems: [] };
  for (const [at, raw] of text
    .replace(/^\ufeff/, '')
    .split(/\r?\n/)
    .entries()) {
    const line = raw.trim();
    if (line === '' || line.startsWith('#')) continue;
    const [, name, rest] = LINE.exec(line) ?? [];
    const value = name === undefined ? undefined : readValue(rest!);
    // The line itself may hold a secret and is not shown.
    if (value === undefined) result.problems.push(`.env line ${at + 1} is not of the form NAME=value (quotes closed)`);
    else result.values[name!] = value;
  }
  return result;
}

function readValue(rest: string): string | undefined {
  if (!/^["'`]/.test(rest)) return rest.replace(/(^|\s+)#.*$/, '').trim();
  const [match, double, single, back] = QUOTED.exec(rest) ?? [];
  if (match === undefined) return undefined;
  if (double !== undefined) return double.replace(/\\(.)/g, (_, char: string) => (char === 'n' ? '\n' : char));
  return single ?? back;
}
