import { blockOf } from '../../task/id.ts';
import { RESERVATION_MS, type TakenTask, type TakeReply, type TakeRequest, UNITS_MAX, UNKNOWN_MAX } from '../store.ts';
import { type Reply, storedTask, timeOf } from './records.ts';

/** Texts that a taken record comes with: specification, trail, input. */
const PARTS = 'sti';

export function takeArgs({ token, max, urgentMax, lanesMax, after, agents, requires = {} }: TakeRequest): string[] {
  const args = [token, countText(max), countText(urgentMax), String(lanesMax)];
  args.push(after?.lane ?? '', after ? String(after.score) : '', String(RESERVATION_MS));
  args.push(String(UNKNOWN_MAX), String(Object.keys(agents).length));
  for (const [agent, cap] of Object.entries(agents)) args.push(agent, countText(cap));
  for (const [demand, cap] of Object.entries(requires)) args.push(demand, countText(cap));
  return args;
}

/** No more than one call may take; also where no bound was meant. */
function countText(count: number): string {
  return String(Math.max(0, Math.min(count, UNITS_MAX)));
}

/** What `take.lua` answers: the tasks as columns, then their texts by block. */
type TakeAnswer = [
  seconds: Reply,
  micros: Reply,
  ids: string[],
  metas: string[],
  scores: string[],
  lanes: string[],
  blocks: string[],
  bodies: Reply[][],
  nextLane: string | null,
  nextScore: string | null,
  unknown: string[],
];

/** The tasks come in order, their texts block by block: within a block in the order of its tasks. */
export function takeReply(reply: Reply[]): TakeReply {
  const [seconds, micros, ids, metas, scores, lanes, blocks, bodies, nextLane, nextScore, unknown] =
    reply as TakeAnswer;
  const places = new Map(blocks.map((block, at) => [block, { texts: bodies[at]!, at: 0 }]));
  const tasks: TakenTask[] = [];
  for (const [n, id] of ids.entries()) {
    const place = places.get(blockOf(id))!;
    const task = storedTask(id, metas[n]!, PARTS, place.texts, place.at);
    tasks.push({ task, lane: lanes[n]!, score: Number(scores[n]) });
    place.at += PARTS.length;
  }
  const answer: TakeReply = { now: timeOf([seconds, micros]), tasks };
  if (nextLane !== null) answer.next = { lane: nextLane, score: Number(nextScore) };
  if (unknown.length > 0) answer.unknown = unknown;
  return answer;
}
