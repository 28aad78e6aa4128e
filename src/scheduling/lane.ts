/**
 * Where a waiting task stands. A lane's name is formed from the fields that decide who may run a task and what bounds it,
 * and only from those that were set, so all tasks of one lane are equally eligible: a blocked head blocks its whole lane.
 *
 * Format: `agent|tenant`, then `|k=concurrencyKey` and `|r=requirements` where set; lanes of priority 10 begin with `!`,
 * so that the rule "a tenth of the slots stays with the others" can tell them apart without reading a record. The scripts
 * in `redis/` rely on three things: the prefix, that the agent is the text between it and the first `|`, and that
 * requirements come last.
 */
import { AgentSystemError } from '../errors.ts';
import { PRIORITY_MAX } from './order.ts';
import { type Requirements, requirementsText } from './requirements.ts';

export interface LaneFields {
  agent: string;
  tenant: string;
  concurrencyKey?: string;
}

export interface Lane extends LaneFields {
  urgent: boolean;
  /** Canonical text of what its tasks require of a worker, see `requirementsText`. */
  requirements?: string;
}

const URGENT = '!';
const REQUIRES = '|r=';

export function laneOf(task: LaneFields & { priority: number; require?: Requirements }): string {
  let name = `${escapeField(task.agent)}|${escapeField(task.tenant)}`;
  if (task.concurrencyKey !== undefined) name += `|k=${escapeField(task.concurrencyKey)}`;
  const requirements = task.require && requirementsText(task.require);
  if (requirements !== undefined) name += `${REQUIRES}${requirements}`;
  return task.priority === PRIORITY_MAX ? URGENT + name : name;
}

export function isUrgentLane(name: string): boolean {
  return name.startsWith(URGENT);
}

/** Requirements as they stand in the lane's name; undefined where nothing is required. */
export function requirementsOfLane(name: string): string | undefined {
  const at = requirementsStart(name);
  return at < 0 ? undefined : name.slice(at + REQUIRES.length);
}

/**
 * Who may run the tasks of a lane that requires something, as a text without its tenant, key and urgency:
 * `agent|r=requirements`. Undefined for a lane that any worker with the agent may serve.
 */
export function demandOfLane(name: string): string | undefined {
  const at = requirementsStart(name);
  if (at < 0) return undefined;
  return name.slice(isUrgentLane(name) ? 1 : 0, name.indexOf('|')) + name.slice(at);
}

/** Where `|r=` begins; behind the agent, because a tenant may well be called `r=`. */
function requirementsStart(name: string): number {
  return name.indexOf(REQUIRES, name.indexOf('|') + 1);
}

export interface Demand {
  agent: string;
  requirements: string;
}

/** Null for a text that `demandOfLane` did not answer. */
export function parseDemand(demand: string): Demand | null {
  const at = demand.indexOf(REQUIRES);
  if (at <= 0) return null;
  return { agent: unescapeField(demand.slice(0, at)), requirements: demand.slice(at + REQUIRES.length) };
}

/** The fields `laneOf` was given, save the priority, of which only "urgent or not" is in the name. */
export function parseLane(name: string): Lane {
  const urgent = isUrgentLane(name);
  const [agent, tenant, ...rest] = (urgent ? name.slice(1) : name).split('|');
  if (!agent || tenant === undefined) throw malformed(name);
  const lane: Lane = { urgent, agent: unescapeField(agent), tenant: unescapeField(tenant) };
  for (const part of rest) {
    if (part.startsWith('k=') && lane.concurrencyKey === undefined) lane.concurrencyKey = unescapeField(part.slice(2));
    else if (part.startsWith('r=') && lane.requirements === undefined) lane.requirements = unescapeField(part.slice(2));
    else throw malformed(name);
  }
  return lane;
}

/**
 * Escapes by UTF-16 code unit (`%7C`, `%u20AC`) and not as a URI does, which throws on half a surrogate pair: a tenant
 * or key that JSON lets through must have a lane, and two different ones must never share it.
 */
export function escapeField(text: string): string {
  return text.replace(/[^ -~]|[|%!]/g, (unit) => {
    const code = unit.charCodeAt(0).toString(16).toUpperCase();
    return code.length <= 2 ? `%${code.padStart(2, '0')}` : `%u${code.padStart(4, '0')}`;
  });
}

function unescapeField(text: string): string {
  return text.replace(/%u([0-9A-F]{4})|%([0-9A-F]{2})/g, (_, wide?: string, narrow?: string) =>
    String.fromCharCode(Number.parseInt((wide ?? narrow)!, 16)),
  );
}

function malformed(name: string): AgentSystemError {
  return new AgentSystemError('LANE_MALFORMED', `The lane name "${name}" is not of the form agent|tenant[|k=…][|r=…].`);
}
