/**
 * Who speaks and who is spoken to. A principal owns keys; an address names one receiver of one message.
 * A worker's address adds its incarnation, so that what was meant for a dead process is not taken by its successor,
 * while the keys stay the same over restarts.
 */
import { AgentSystemError } from '../errors.ts';

export type PrincipalKind = 'coordinators' | 'distributors' | 'worker';
export type WorkerPrincipal = `worker:${string}`;
export type Principal = 'coordinators' | 'distributors' | WorkerPrincipal;
/** `coordinators`, `distributors`, or `worker:<id>@<incarnation>`. */
export type Address = 'coordinators' | 'distributors' | `${WorkerPrincipal}@${string}`;

/** What a worker id and an incarnation may look like: no character that separates parts of a key id, an address or JSON. */
const NAME = '[A-Za-z0-9._-]{1,128}';
/** The source of a regular expression that matches exactly one principal. */
export const PRINCIPAL_PATTERN = `coordinators|distributors|worker:${NAME}`;

const WHOLE_NAME = new RegExp(`^${NAME}$`);

/** True for an id that `workerPrincipal` takes: 1 to 128 letters, digits, dots, underscores and hyphens. */
export function isWorkerId(id: string): boolean {
  return WHOLE_NAME.test(id);
}

export function workerPrincipal(id: string): WorkerPrincipal {
  return `worker:${checkedName(id, 'worker id')}`;
}

/** The address of one life of a worker. */
export function workerAddress(id: string, incarnation: string): Address {
  return `${workerPrincipal(id)}@${checkedName(incarnation, 'incarnation')}`;
}

/** The principal whose keys protect messages to this address. */
export function principalOf(address: string): Principal {
  const at = address.indexOf('@');
  return (at < 0 ? address : address.slice(0, at)) as Principal;
}

export function kindOf(principal: Principal): PrincipalKind {
  return principal === 'coordinators' || principal === 'distributors' ? principal : 'worker';
}

/** The id in `worker:<id>`; undefined for a group. */
export function workerIdOf(principal: Principal): string | undefined {
  return kindOf(principal) === 'worker' ? principal.slice('worker:'.length) : undefined;
}

function checkedName(name: string, what: string): string {
  if (WHOLE_NAME.test(name)) return name;
  throw new AgentSystemError(
    'NAME_NOT_ALLOWED',
    `The ${what} ${JSON.stringify(name)} cannot be used in messages: it must be 1 to 128 letters, digits, dots, underscores or hyphens.`,
  );
}
