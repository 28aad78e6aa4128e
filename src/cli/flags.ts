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

/** One or several with commas between them; repeatable. */
export function stateFlag(text: string, before: TaskState[] = []): TaskState[] {
  const states = text.split(',').map((part) => part.trim());
  for (const state of states) {
    if ((TASK_STATES as readonly string[]).includes(state)) continue;
    throw wanted(`${TASK_STATES.join(', ')}${didYouMean(state, TASK_STATES)}`);
  }
  return [...before, ...(states as TaskState[])];
}

export function countFlag(max: number): (text: string) => number {
  return (text) => {
    const count = /^\d{1,9}$/.test(text) ? Number(text) : 0;
    if (count < 1 || count > max) throw wanted(`a whole number from 1 to ${max}`);
    return count;
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
