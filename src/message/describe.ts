/** What may be said of an envelope in a log: who wrote what to whom, by its claims. Never its payloads or its MAC. */

/** Task ids named of one envelope; the count says how many there are. */
export const TASKS_SHOWN_MAX = 20;
const TEXT_SHOWN_MAX = 200;

export interface EnvelopeDescription {
  jti: string;
  from: string;
  to: string;
  stream: string;
  tasks: string[];
}

/**
 * Reads the claims without checking anything: for one's own messages, and those that were opened already. Costs as much
 * as opening it, so it is only called for a line that is written. Null for what is no envelope.
 */
export function describeEnvelope(text: string): EnvelopeDescription | null {
  try {
    const claims = JSON.parse(Buffer.from(text.split('.')[1] ?? '', 'base64url').toString()) as Record<string, unknown>;
    const { jti, iss, aud, str, body } = claims;
    return { jti: shown(jti), from: shown(iss), to: shown(aud), stream: shown(str), tasks: tasksOf(body) };
  } catch {
    return null;
  }
}

/** Assignments, cancels and reports each name their task; a submit is of one. */
function tasksOf(body: unknown): string[] {
  const { assignments, cancels, reports, task } = (body ?? {}) as Record<string, unknown>;
  const entries = assignments ?? cancels ?? reports ?? (task === undefined ? [] : [{ task }]);
  if (!Array.isArray(entries)) return [];
  return entries.slice(0, TASKS_SHOWN_MAX).map((entry) => shown((entry as { task?: unknown }).task));
}

function shown(value: unknown): string {
  return String(value ?? '').slice(0, TEXT_SHOWN_MAX);
}
