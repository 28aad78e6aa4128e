/* Which tasks are meant: the same words in the query of a list and in the body of a bulk action. */
import { z } from 'zod';
import { parseDuration } from '../config/parse.ts';
import { LIST_LIMIT_MAX, type ListFilter } from '../service/task-list.ts';
import { isTaskId } from '../task/id.ts';
import { TASK_STATES } from '../task/task.ts';
import { one, repeated, several, wholeNumber } from './query.ts';

const LABELS_MAX = 32;

const state = z.enum(TASK_STATES, {
  error: ({ input }) => `${JSON.stringify(input)} is no state: wanted ${TASK_STATES.join(', ')}`,
});
const label = z.string().regex(/^[^=]+=/, { error: 'a label is given as name=value' });
const age = z.string().refine((text) => parseDuration(text) !== undefined, {
  error: ({ input }) => `is ${JSON.stringify(String(input).slice(0, 40))}, wanted a duration such as 30s, 5m, 1h or 7d`,
});
const time = z.iso.datetime({ offset: true });
export const cursor = one.refine(isTaskId, { error: 'is not a nextCursor that was given out here' });

export const filterQuery = {
  agent: one.max(128).optional(),
  tenant: one.max(128).optional(),
  correlationId: one.max(256).optional(),
  label: repeated(LABELS_MAX).pipe(z.array(label)).optional(),
  worker: one.max(128).optional(),
  parentId: one.max(64).optional(),
  createdBefore: one.pipe(time).optional(),
  olderThan: one.pipe(age).optional(),
};

const page = { limit: wholeNumber(1, LIST_LIMIT_MAX).optional(), cursor: cursor.optional() };

export const listQuery = z.object({
  state: several(TASK_STATES.length).pipe(z.array(state)).optional(),
  ...filterQuery,
  ...page,
});
/** Without a state: what is asked for says which one it is. */
export const statelessQuery = z.object({ ...filterQuery, ...page });

const text = z.string().min(1);
export const filterBody = z.strictObject({
  state: z.union([state.transform((one) => [one]), z.array(state)]).optional(),
  agent: text.max(128).optional(),
  tenant: text.max(128).optional(),
  correlationId: text.max(256).optional(),
  label: z.union([label.transform((one) => [one]), z.array(label).max(LABELS_MAX)]).optional(),
  worker: text.max(128).optional(),
  parentId: text.max(64).optional(),
  createdBefore: time.optional(),
  olderThan: age.optional(),
});

type Given = z.output<typeof filterBody> & { limit?: number | undefined; cursor?: string | undefined };

/** @param now for `olderThan` */
export function filterOf({ label, createdBefore, olderThan, ...rest }: Given, now: number): ListFilter {
  const filter = rest as ListFilter;
  if (label && label.length > 0) filter.labels = Object.fromEntries(label.map(nameAndValue));
  const before = [
    ...(createdBefore === undefined ? [] : [Date.parse(createdBefore)]),
    ...(olderThan === undefined ? [] : [now - parseDuration(olderThan)!]),
  ];
  if (before.length > 0) filter.createdBefore = Math.min(...before);
  return filter;
}

function nameAndValue(label: string): [string, string] {
  const gap = label.indexOf('=');
  return [label.slice(0, gap), label.slice(gap + 1)];
}
