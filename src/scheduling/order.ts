/**
 * The order of waiting tasks: a lower score goes first, ties by id. A score is milliseconds of the store's clock, so it
 * is computed once when a task enters its queue and ages by itself: one level of priority is worth a fixed time of
 * waiting, so a task of level 0 waits at most nine of those times longer than one of level 9 and nothing starves.
 * Priority 10 is a band of its own before all others.
 */
import { AgentSystemError } from '../errors.ts';

export const PRIORITY_MAX = 10;
export const PRIORITY_DEFAULT = 5;
export const PRIORITY_NAMES = { low: 2, normal: PRIORITY_DEFAULT, high: 8, urgent: PRIORITY_MAX } as const;

/** What one level is worth in milliseconds of waiting, or `off`: strictly by priority, where low levels may starve. */
export type Ageing = number | 'off';

/** Below this many milliseconds per level (317 years) the bands cannot touch; every score stays a safe integer. */
export const AGEING_MS_MAX = 1e12;

/** Wider than any ageing or clock can bridge, and small enough that doubles, which Redis keeps scores in, stay exact. */
const URGENT_BAND_MS = 1e14;
const STRICT_LEVEL_MS = 1e13;

/** @param task `queuedAt` in milliseconds of the store's clock */
export function scoreOf(task: { priority: number; queuedAt: number }, ageing: Ageing): number {
  const score = Math.floor(unroundedScore(task.priority, task.queuedAt, ageing));
  if (!isPriority(task.priority) || !Number.isSafeInteger(score) || !isAgeing(ageing))
    throw new AgentSystemError(
      'SCORE_IMPOSSIBLE',
      `No place in the queue for priority ${task.priority}, queuedAt ${task.queuedAt}, ageing ${ageing}: believed to be checked before.`,
    );
  return score;
}

function unroundedScore(priority: number, queuedAt: number, ageing: Ageing): number {
  if (priority === PRIORITY_MAX) return queuedAt - URGENT_BAND_MS;
  if (ageing === 'off') return (PRIORITY_MAX - 1 - priority) * STRICT_LEVEL_MS + queuedAt;
  return queuedAt - priority * ageing;
}

function isAgeing(ageing: Ageing): boolean {
  return ageing === 'off' || (ageing >= 0 && ageing <= AGEING_MS_MAX);
}

export interface Place {
  id: string;
  score: number;
}

/** For `sort`: by score, ties by id (ids are ASCII, so this is also how Redis orders equal scores). */
export function comparePlaces(a: Place, b: Place): number {
  return a.score - b.score || (a.id < b.id ? -1 : a.id > b.id ? 1 : 0);
}

export type ParsedPriority = { ok: true; priority: number } | { ok: false; message: string };

/** A priority as JSON brings it: a whole number or a name. The message says what was found and what was wanted. */
export function parsePriority(value: unknown): ParsedPriority {
  if (isPriority(value)) return { ok: true, priority: value };
  if (typeof value === 'string' && Object.hasOwn(PRIORITY_NAMES, value))
    return { ok: true, priority: PRIORITY_NAMES[value as keyof typeof PRIORITY_NAMES] };
  return {
    ok: false,
    message: `priority is ${shown(value)}, wanted a whole number from 0 to 10 or one of low, normal, high, urgent`,
  };
}

/** The same from a command line, where a number arrives as text. */
export function parsePriorityText(text: string): ParsedPriority {
  return parsePriority(/^\d{1,3}$/.test(text) ? Number(text) : text);
}

function isPriority(value: unknown): value is number {
  return Number.isInteger(value) && (value as number) >= 0 && (value as number) <= PRIORITY_MAX;
}

function shown(value: unknown): string {
  if (typeof value === 'string') return JSON.stringify(value.slice(0, 40));
  if (value === undefined) return 'not given';
  if (Array.isArray(value)) return 'a list';
  return typeof value === 'object' && value !== null ? 'an object' : String(value);
}
