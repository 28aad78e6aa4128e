import type { HeardEvent } from '../client/client.ts';
import { type Style, styled, type TableLook } from './table.ts';
import { cutTo, printable } from './text-width.ts';

const TYPE_WIDTH = 17;

const STYLES: Record<string, Style> = {
  'task.completed': 'green',
  'task.failed': 'red',
  'task.cancelled': 'yellow',
  'task.retried': 'yellow',
  'task.started': 'cyan',
  gap: 'red',
};

/** What an event may say of itself; which of it is there depends on its type. */
interface Facts {
  at?: string;
  task?: string;
  agent?: string;
  attempt?: number;
  worker?: string;
  progress?: number;
  progressNote?: string;
  reason?: string;
  error?: { code: string; message: string };
  message?: string;
  instance?: string;
  role?: string;
  shard?: number;
  epoch?: number;
}

/** One event on one line. @param withTask false where all lines are of one task */
export function eventLine(event: HeardEvent, look: TableLook, { withTask = true } = {}): string {
  const facts = event as Facts;
  const head = `${facts.at ?? ' '.repeat(24)}  `;
  const type = event.type.padEnd(TYPE_WIDTH);
  const text = printable(
    [...(withTask ? [facts.task, facts.agent] : []), ...details(facts)].filter(Boolean).join('  '),
  );
  const room = look.columns === null ? null : Math.max(1, look.columns - head.length - type.length - 2);
  const line = `${head}${styled(type, look.colors ? STYLES[event.type] : undefined)}  ${room === null ? text : cutTo(text, room)}`;
  return line.trimEnd();
}

function details(facts: Facts): (string | undefined)[] {
  const { attempt, worker, progress, progressNote, reason, error, message, instance, role, shard } = facts;
  // What is most worth reading comes first: the end of the line may not fit.
  return [
    instance,
    role,
    shard === undefined ? undefined : `shard ${shard}`,
    error ? `${error.code}: ${error.message}` : reason,
    message,
    progress === undefined ? undefined : `${Math.floor(progress * 100)} %`,
    progressNote,
    attempt === undefined ? undefined : `attempt ${attempt}`,
    worker === undefined ? undefined : `on ${worker}`,
  ];
}
