import { RESERVATION_MS } from '../../src/store/store.ts';

export interface ModelTask {
  id: string;
  lane: string;
  score: number;
  queued: boolean;
  version: number;
  /** The token it is reserved under; null = it stands in its lane, or is no longer queued. */
  token: string | null;
  expiresAt: number;
}

export interface ModelTake {
  token: string;
  max: number;
  urgentMax: number;
  agents: Record<string, number>;
}

/** The rules of waiting, taking and giving back in their plainest form: one list, sorted anew for every take. */
export class QueueModel {
  readonly tasks: ModelTask[] = [];
  readonly paused = new Set<string>();

  add(id: string, lane: string, score: number): void {
    this.tasks.push({ id, lane, score, queued: true, version: 1, token: null, expiresAt: 0 });
  }

  take({ token, max, urgentMax, agents }: ModelTake, now: number): string[] {
    this.expire(now);
    const held = this.reserved(token).filter((task) => task.queued);
    if (held.length > 0) return this.#reserve(held.sort(compare), token, now);
    const left = { ...agents };
    let urgentLeft = urgentMax;
    const taken: ModelTask[] = [];
    for (const task of this.waiting().sort(compare)) {
      const agent = agentOf(task.lane);
      const urgent = task.lane.startsWith('!');
      if (taken.length >= max || this.paused.has(agent) || !left[agent] || (urgent && urgentLeft <= 0)) continue;
      left[agent] -= 1;
      if (urgent) urgentLeft -= 1;
      taken.push(task);
    }
    return this.#reserve(taken, token, now);
  }

  giveBack(token: string): void {
    for (const task of this.reserved(token)) task.token = null;
  }

  /** Answers how many reserved tasks had expired. */
  expire(now: number): number {
    const expired = this.tasks.filter((task) => task.token !== null && task.expiresAt <= now);
    for (const task of expired) task.token = null;
    return expired.length;
  }

  lengths(): Record<string, number> {
    const lengths: Record<string, number> = {};
    for (const { lane } of this.waiting()) lengths[lane] = (lengths[lane] ?? 0) + 1;
    return lengths;
  }

  reserved(token: string): ModelTask[] {
    return this.tasks.filter((task) => task.token === token);
  }

  waiting(): ModelTask[] {
    return this.tasks.filter((task) => task.queued && task.token === null);
  }

  /** Also a token that is repeated holds its tasks for the full time again. */
  #reserve(tasks: ModelTask[], token: string, now: number): string[] {
    for (const task of tasks) Object.assign(task, { token, expiresAt: now + RESERVATION_MS });
    return tasks.map(({ id }) => id);
  }
}

function compare(a: ModelTask, b: ModelTask): number {
  return a.score - b.score || (a.id < b.id ? -1 : 1);
}

function agentOf(lane: string): string {
  return lane.replace('!', '').split('|')[0]!;
}
