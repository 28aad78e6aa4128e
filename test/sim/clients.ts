/*
 * People outside, who submit tasks through whatever coordinator answers, wait for results and sometimes change their
 * minds. They know only what they were told, and check that it is true.
 */
import { AgentSystemError } from '../../src/errors.ts';
import { pause } from '../../src/runtime/runtime.ts';
import type { VirtualRuntime } from '../../src/runtime/virtual-runtime.ts';
import type { SubmitRequest } from '../../src/service/submit-request.ts';
import type { TaskService } from '../../src/service/task-service.ts';
import { isTerminal } from '../../src/task/task.ts';
import type { TaskView } from '../../src/task/view.ts';
import type { Chance } from './chance.ts';
import type { Ledger } from './ledger.ts';
import type { Member } from './members.ts';

const ASKED_AGAIN_MAX = 2_000;
const PATIENCE_MS = 4_000;

export interface PlannedTask {
  atMs: number;
  request: SubmitRequest;
  /** Cancelled so long after the submit was answered. */
  cancelAfterMs?: number;
}

type Asked<T> = { kind: 'answer'; value: T } | { kind: 'refused'; error: AgentSystemError } | { kind: 'unknown' };

export class Clients {
  readonly #world: VirtualRuntime;
  readonly #chance: Chance;
  readonly #ledger: Ledger;
  readonly #coordinators: () => Member[];
  readonly #byKey = new Map<string, string>();
  /** Who still waits, by what for. */
  readonly waiting = new Map<number, string>();
  accepted = 0;
  answered = 0;
  cancelled = 0;
  #people = 0;

  constructor(world: VirtualRuntime, chance: Chance, ledger: Ledger, coordinators: () => Member[]) {
    this.#world = world;
    this.#chance = chance;
    this.#ledger = ledger;
    this.#coordinators = coordinators;
  }

  plan(tasks: readonly PlannedTask[]): void {
    for (const task of tasks) {
      const person = this.#people++;
      this.waiting.set(person, `to submit ${JSON.stringify(task.request)}`);
      this.#world.after(task.atMs, () => {
        this.#live(person, task).then(
          () => this.waiting.delete(person),
          (error) =>
            this.#ledger.violate('clients-are-told-the-truth', `${error instanceof Error ? error.stack : error}`),
        );
      });
    }
  }

  async #live(person: number, task: PlannedTask): Promise<void> {
    const id = await this.#submit(task.request);
    if (id === null) return;
    this.waiting.set(person, `for the result of ${id}`);
    if (task.cancelAfterMs !== undefined) this.#world.after(task.cancelAfterMs, () => void this.#cancel(id));
    this.#check(await this.#result(id));
    this.answered += 1;
  }

  /** Null: refused, or nobody knows whether it was taken and it may not be sent again. */
  async #submit(request: SubmitRequest): Promise<string | null> {
    for (let asked = 0; asked < ASKED_AGAIN_MAX; asked++) {
      const reply = await this.#ask((service) => service.submit(request));
      if (reply.kind === 'answer') return this.#accepted(request, reply.value.task);
      if (reply.kind === 'refused' && reply.error.code === 'KEY_CONFLICT') return null;
      if (reply.kind === 'refused' && !reply.error.retryable && reply.error.code !== 'UNKNOWN_AGENT') throw reply.error;
      if (request.key === undefined && this.#chance.happens(0.5)) return null;
      await pause(this.#world, 250);
    }
    throw new Error('never got through with a submit');
  }

  #accepted(request: SubmitRequest, task: TaskView): string {
    this.accepted += 1;
    if (!this.#ledger.tasks.has(task.id)) this.#ledger.violate('an-accepted-submit-is-kept', `no record of ${task.id}`);
    if (request.key === undefined) return task.id;
    const name = `${request.agent} ${request.key}`;
    const before = this.#byKey.get(name) ?? task.id;
    this.#byKey.set(name, before);
    if (before !== task.id) this.#ledger.violate('a-key-names-one-task', `${name}: ${before} and ${task.id}`);
    return task.id;
  }

  async #cancel(id: string): Promise<void> {
    for (let asked = 0; asked < 3; asked++) {
      const reply = await this.#ask((service) => service.cancel(id, 'changed my mind'));
      if (reply.kind === 'answer') {
        this.cancelled += 1;
        if (this.#ledger.tasks.get(id)?.state !== 'cancelled') {
          this.#ledger.violate('clients-are-told-the-truth', `cancel of ${id} was confirmed`);
        }
      }
      if (reply.kind === 'answer' || (reply.kind === 'refused' && !reply.error.retryable)) return;
      await pause(this.#world, 300);
    }
  }

  async #result(id: string): Promise<TaskView> {
    for (let asked = 0; asked < ASKED_AGAIN_MAX; asked++) {
      const reply = await this.#ask((service) => service.result(id, 3_000));
      if (reply.kind === 'answer' && reply.value.ended) return reply.value.task;
      if (reply.kind === 'refused' && !reply.error.retryable) throw reply.error;
      if (reply.kind !== 'answer') await pause(this.#world, 250);
    }
    throw new Error(`asked ${ASKED_AGAIN_MAX} times for the result of ${id}`);
  }

  #check(view: TaskView): void {
    const task = this.#ledger.tasks.get(view.id);
    const result = view.result === undefined ? undefined : JSON.stringify(view.result);
    if (!isTerminal(view.state) || task?.state !== view.state || task.result !== result) {
      const told = `told ${view.id} is ${view.state} with ${result}`;
      this.#ledger.violate('clients-are-told-the-truth', `${told}; it is ${task?.state} with ${task?.result}`);
    }
  }

  /** Over a network, from a process that may stand still or die over it. */
  #ask<T>(what: (service: TaskService) => Promise<T>): Promise<Asked<T>> {
    const world = this.#world;
    return new Promise((resolve) => {
      const open = this.#coordinators().filter((member) => member.service !== null);
      if (open.length === 0) return void world.after(100, () => resolve({ kind: 'unknown' }));
      const member = this.#chance.pick(open);
      const { process } = member.options;
      world.after(PATIENCE_MS, () => resolve({ kind: 'unknown' }));
      const reply = (asked: Asked<T>) => {
        if (process.alive) world.after(1, () => resolve(asked));
      };
      const ask = () => {
        if (!member.service) return;
        what(member.service).then(
          (value) => reply({ kind: 'answer', value }),
          (error) => {
            if (error instanceof AgentSystemError) return reply({ kind: 'refused', error });
            this.#ledger.violate(
              'roles-meet-no-fault',
              `${process.name}: ${error instanceof Error ? error.stack : error}`,
            );
          },
        );
      };
      world.after(1, () => process.run(ask));
    });
  }
}
