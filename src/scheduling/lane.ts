/**
 * Where a waiting task stands. A lane's name is formed from the fields that decide who may run a task and what bounds it,
 * and only from those that were set, so all tasks of one lane are equally eligible: a blocked head blocks its whole lane.
 *
 * Format: `agent|tenant`, then `|k=concurrencyKey` and `|r=requirements` where set; lanes of priority 10 begin with `!`,
 * so that the rule "a tenth of the slots stays with the others" can tell them apart without reading a record. The scripts
 * in `redis/` rely on two things: the prefix, and that the agent is the text between it and the first `|`.
 */
import { AgentSystemError } from '../errors.ts';
import { PRIORITY_MAX } from './order.ts';

export interface LaneFields {
  agent: string;
  tenant: string;
  concurrencyKey?: string;
  /** Canonical text of what the task requires of a worker: equal requirements must be equal texts. */
  requirements?: string;
}

export interface Lane extends LaneFields {
  urgent: boolean;
}

const URGENT = '!';

export function laneOf(task: LaneFields & { priority: number }): string {
  let name = `${escapeField(task.agent)}|${escapeField(task.tenant)}`;
  if (task.concurrencyKey !== undefined) name += `|k=${escapeField(task.concurrencyKey)}`;
  if (task.requirements !== undefined) name += `|r=${escapeField(task.requirements)}`;
  return task.priority === PRIORITY_MAX ? URGENT + name : name;
}

export function isUrgentLane(name: string): boolean {
  return name.startsWith(URGENT);
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
function escapeField(text: string): string {
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
