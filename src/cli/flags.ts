/** Reads the values of flags. What cannot be read is wrong usage, and the message says what was found and wanted. */
import { InvalidArgumentError } from 'commander';
import { httpUrl, parseDuration } from '../config/parse.ts';
import { ROLES } from '../config/role.ts';
import { SETTINGS } from '../config/schema.ts';
import { nearest } from '../runtime/near-names.ts';
import { PRIORITY_MAX, parsePriorityText } from '../scheduling/order.ts';
import { TASK_STATES, type TaskState } from '../task/task.ts';

const WAIT_FLAG = '--wait';
const DURATION = /^\d+(\.\d+)?(ms|s|m|h|d)$/;

export function roleFlag(text: string): string {
  const { kind } = SETTINGS.AGENT_ROLE;
  if (kind.read(text) === undefined) throw wanted(`${kind.wanted}${didYouMean(text, ROLES)}`);
  return text;
}

export function portFlag(text: string): string {
  const { kind } = SETTINGS.WORKER_PORT;
  if (kind.read(text) === undefined) throw wanted(kind.wanted);
  return text;
}

/** Milliseconds. */
export function durationFlag(text: string): number {
  const ms = parseDuration(text);
  if (ms === undefined) throw wanted('a duration such as 250ms, 30s, 5m or 1h');
  return ms;
}

/** Milliseconds; Infinity = as long as it takes. */
export function waitFlag(text: string): number {
  return text === '' ? Number.POSITIVE_INFINITY : durationFlag(text);
}

/**
 * `--wait` may stand alone, before anything: the parser would take the word after it for its value, as in
 * `submit --wait echo`. A duration after it is meant for it.
 */
export function withoutLooseWait(args: readonly string[]): string[] {
  const end = args.indexOf('--');
  const found: string[] = [];
  for (let i = 0; i < args.length; i++) {
    const [arg, next] = [args[i]!, args[i + 1]];
    if (arg !== WAIT_FLAG || (end >= 0 && i > end)) found.push(arg);
    else if (next !== undefined && DURATION.test(next)) found.push(`${WAIT_FLAG}=${args[++i]}`);
    else found.push(`${WAIT_FLAG}=`);
  }
  return found;
}

export function priorityFlag(text: string): number {
  const parsed = parsePriorityText(text);
  if (!parsed.ok) throw wanted(`0 to ${PRIORITY_MAX}, or low, normal, high, urgent`);
  return parsed.priority;
}

/** Repeatable `name=value`; the last one of a name counts. */
export function labelFlag(text: string, before: Record<string, string> = {}): Record<string, string> {
  const gap = text.indexOf('=');
  if (gap < 1) throw wanted('name=value');
  return { ...before, [text.slice(0, gap)]: text.slice(gap + 1) };
}

/** Repeatable `name=amount`; the last one of a name counts. */
export function amountFlag(text: string, before: Record<string, number> = {}): Record<string, number> {
  const [, name, amount] = /^([^=]+)=(\d+(?:\.\d+)?)$/.exec(text) ?? [];
  if (name === undefined || Number(amount) <= 0) throw wanted('name=number with a number above 0, such as gpu=1');
  return { ...before, [name]: Number(amount) };
}

/** A JSON object. */
export function objectFlag(text: string): Record<string, unknown> {
  const value = jsonOf(text);
  if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value as Record<string, unknown>;
  throw wanted(`a JSON object such as '{"name":"value"}'`);
}

function jsonOf(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

/** A time of day with its zone; in ISO 8601, as the system takes it. */
export function timeFlag(text: string): string {
  const ms = ISO_TIME.test(text) ? Date.parse(text) : Number.NaN;
  if (Number.isNaN(ms)) throw wanted('an ISO 8601 time with its zone, such as 2030-01-31T08:00:00Z');
  return new Date(ms).toISOString();
}

const ISO_TIME = /^\d{4}-\d\d-\d\dT\d\d:\d\d(:\d\d(\.\d+)?)?(Z|[+-]\d\d:\d\d)$/;

export const stateFlag = oneOfFlag(TASK_STATES) as (text: string, before?: TaskState[]) => TaskState[];

/** One or several with commas between them; repeatable. */
export function oneOfFlag(names: readonly string[]): (text: string, before?: string[]) => string[] {
  return (text, before = []) => {
    const found = text.split(',').map((part) => part.trim());
    const unknown = found.find((name) => !names.includes(name));
    if (unknown !== undefined) throw wanted(`${names.join(', ')}${didYouMean(unknown, names)}`);
    return [...before, ...found];
  };
}

export function countFlag(max: number): (text: string) => number {
  return wholeFlag(1, max);
}

export function wholeFlag(min: number, max: number): (text: string) => number {
  return (text) => {
    const value = /^\d{1,9}$/.test(text) ? Number(text) : Number.NaN;
    if (!(value >= min && value <= max)) throw wanted(`a whole number from ${min} to ${max}`);
    return value;
  };
}

export function urlFlag(text: string): string {
  const url = httpUrl.read(text);
  if (url === undefined) throw wanted(httpUrl.wanted);
  return url;
}

function didYouMean(found: string, names: readonly string[]): string {
  const [near] = nearest(found, [...names]);
  return near === undefined ? '' : ` (did you mean ${near}?)`;
}

/** Becomes `option '--x <y>' argument 'found' is invalid. Wanted …`. */
function wanted(what: string): InvalidArgumentError {
  return new InvalidArgumentError(`Wanted ${what}.`);
}
