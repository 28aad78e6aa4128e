import { blockOf } from '../../task/id.ts';
import {
  type LanePlace,
  RESERVATION_MS,
  type TakenTask,
  type TakeReply,
  type TakeRequest,
  UNITS_MAX,
} from '../store.ts';
import { type Reply, storedTask, timeOf } from './records.ts';

/** Texts that a taken record comes with: specification, trail, input. */
const PARTS = 'sti';

export function takeArgs({ token, max, urgentMax, lanesMax, after, agents }: TakeRequest): string[] {
  const args = [token, String(Math.min(max, UNITS_MAX)), String(urgentMax), String(lanesMax)];
  args.push(after?.lane ?? '', after ? String(after.score) : '', String(RESERVATION_MS));
  for (const [agent, cap] of Object.entries(agents)) args.push(agent, String(cap));
  return args;
}

/** The tasks come in order, their texts block by block: within a block in the order of its tasks. */
export function takeReply(reply: Reply[]): TakeReply {
  const [seconds, micros, list, blocks, bodies, lane, score] = reply;
  const places = new Map(
    (blocks as string[]).map((block, at) => [block, { texts: (bodies as Reply[][])[at]!, at: 0 }]),
  );
  const tasks: TakenTask[] = [];
  const entries = list as string[];
  for (let n = 0; n < entries.length; n += 4) {
    const [id, meta, score, lane] = [entries[n]!, entries[n + 1]!, entries[n + 2]!, entries[n + 3]!];
    const place = places.get(blockOf(id))!;
    tasks.push({ task: storedTask(id, meta, PARTS, place.texts, place.at), lane, score: Number(score) });
    place.at += PARTS.length;
  }
  const answer: TakeReply = { now: timeOf([seconds!, micros!]), tasks };
  if (typeof lane === 'string') answer.next = { lane, score: Number(score) } satisfies LanePlace;
  return answer;
}
