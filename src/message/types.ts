/** The message types: what each carries, and who may send it to whom on which kind of stream. */
import type { z } from 'zod';
import {
  assignBody,
  cancelBody,
  drainBody,
  type HeartbeatBody,
  heartbeatBody,
  reportBody,
  submitBody,
} from './bodies.ts';
import { kindOf, type Principal, type PrincipalKind, workerIdOf } from './principals.ts';

export type StreamKind = 'mailbox' | 'reports' | 'lease';

interface TypeRule<Body extends z.ZodType> {
  readonly stream: StreamKind;
  readonly from: readonly PrincipalKind[];
  readonly to: readonly PrincipalKind[];
  readonly body: Body;
  /**
   * The time that must lie within the message's life. `read`: the store's time when the receiver reads it, so that an
   * order does not take effect long after it was given. `appended`: the time of its stream entry, so that a report does
   * not grow stale while nobody reads.
   */
  readonly validWhen: 'read' | 'appended';
  /** For a body that names its sender: false when that is not who signed. */
  readonly spokenBy?: (body: z.infer<Body>, sender: Principal) => boolean;
}

/** Only infers the type of the body. */
function rule<Body extends z.ZodType>(of: TypeRule<Body>): TypeRule<Body> {
  return of;
}

export const MESSAGE_TYPES = {
  'task.assign': rule({
    stream: 'mailbox',
    // The owner of a shard re-sends an assignment whose first envelope was lost.
    from: ['distributors', 'coordinators'],
    to: ['worker'],
    body: assignBody,
    validWhen: 'read',
  }),
  'task.cancel': rule({
    stream: 'mailbox',
    from: ['coordinators'],
    to: ['worker'],
    body: cancelBody,
    validWhen: 'read',
  }),
  'worker.drain': rule({
    stream: 'mailbox',
    from: ['coordinators'],
    to: ['worker'],
    body: drainBody,
    validWhen: 'read',
  }),
  'task.submit': rule({
    // In order with the reports, and applied by the owner under the same cursor.
    stream: 'reports',
    from: ['worker', 'distributors'],
    to: ['coordinators'],
    body: submitBody,
    validWhen: 'appended',
  }),
  'task.report': rule({
    stream: 'reports',
    from: ['worker'],
    to: ['coordinators'],
    body: reportBody,
    validWhen: 'appended',
  }),
  'worker.heartbeat': rule({
    stream: 'lease',
    from: ['worker'],
    to: ['coordinators', 'distributors'],
    body: heartbeatBody,
    validWhen: 'appended',
    spokenBy: (body: HeartbeatBody, sender) => body.worker === workerIdOf(sender),
  }),
} as const;

export type MessageType = keyof typeof MESSAGE_TYPES;
export type BodyOf<T extends MessageType> = z.infer<(typeof MESSAGE_TYPES)[T]['body']>;

export function isMessageType(type: string): type is MessageType {
  return Object.hasOwn(MESSAGE_TYPES, type);
}

/** Whether the table lets `from` send this type to `to`. */
export function maySend(type: MessageType, from: Principal, to: Principal): boolean {
  const { from: senders, to: receivers } = ruleOf(type);
  return senders.includes(kindOf(from)) && receivers.includes(kindOf(to));
}

/** The rule of a type, without the type of its body. */
export function ruleOf(type: MessageType): TypeRule<z.ZodType> {
  return MESSAGE_TYPES[type] as TypeRule<z.ZodType>;
}
