/*
 * The picture of one worker against a model of the worker itself: assignments, hints and heartbeats made and read in any
 * order that streams allow, some of them lost.
 */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { Fleet, type Hint } from '../../src/distributor/fleet.ts';
import type { SeenBeat } from '../../src/fleet/heartbeat-watch.ts';
import { aHeartbeatBody } from '../message/builders.ts';
import { anId, T0 } from '../support/builders.ts';

const WORKER = 'w1';
const INCARNATION = '100-aa';
const REF = `${WORKER}@${INCARNATION}`;
const TTL = 15_000;
/** The distributor looks for heartbeats at least so often. */
const LOOK_MS = 500;
/** The worker tells its heart of an end no later than this. */
const HEART_LAG_MS = 60;

interface Attempt {
  task: string;
  held: string;
  entry: string;
  /** The distributor has the answer of the commit. */
  answered: boolean;
  stage: 'mailed' | 'running' | 'ended';
  endedAt: number;
}

/** Everything outside of `Fleet`. Time only moves by `pass`. */
class Model {
  readonly fleet = new Fleet('d1', TTL);
  readonly attempts: Attempt[] = [];
  now = T0;
  #entries = 0;
  #mailbox = '0-0';
  #wake: { hint: Hint; at: number }[] = [];
  #beat: SeenBeat | null = null;
  #readAt = T0;

  constructor() {
    this.beat();
    this.look();
  }

  get held(): Attempt[] {
    return this.attempts.filter(({ stage }) => stage !== 'ended');
  }

  assign(): void {
    const task = anId();
    const entry = `${this.now}-${++this.#entries}`;
    this.fleet.occupy(REF, task, 'a', { shard: 0, urgent: true, needs: { gpu: 1 }, now: this.now });
    this.attempts.push({ task, held: `${task}~a`, entry, answered: false, stage: 'mailed', endedAt: 0 });
  }

  /** The oldest commit that was not answered is answered now; `unknown`: by an error although it was done. */
  answer(unknown: boolean): void {
    const attempt = this.attempts.find(({ answered }) => !answered);
    if (!attempt) return;
    attempt.answered = true;
    this.fleet.settle(REF, attempt.task, 'a', unknown ? null : attempt.entry);
  }

  readMail(): void {
    for (const attempt of this.attempts) if (attempt.stage === 'mailed') attempt.stage = 'running';
    this.#mailbox = this.attempts.at(-1)?.entry ?? this.#mailbox;
  }

  end(which: number, lost: boolean): void {
    const running = this.attempts.filter(({ stage }) => stage === 'running');
    const attempt = running[which % Math.max(1, running.length)];
    if (!attempt) return;
    attempt.stage = 'ended';
    attempt.endedAt = this.now;
    if (!lost) this.#say({ r: [attempt.held] });
  }

  handBack(): void {
    this.#say({ b: true });
  }

  /** `lag`: how long ago the heart was told. */
  beat(lag = 0): void {
    const listed = this.attempts.filter(
      ({ stage, endedAt }) => stage === 'running' || (stage === 'ended' && endedAt > this.now - lag),
    );
    const heartbeat = aHeartbeatBody({
      ...{ worker: WORKER, incarnation: INCARNATION, distributor: 'd1', unstarted: [], mailbox: this.#mailbox },
      ...{ started: listed.map(({ held }) => held), used: listed.length > 0 ? { gpu: listed.length } : {} },
    });
    this.now += 1;
    this.#beat = { heartbeat, at: this.now, entry: `${this.now}-0`, issuedAt: this.now, predecessor: null };
  }

  look(): void {
    if (this.#beat) this.fleet.hear(this.#beat, 0);
    this.#beat = null;
    this.#readAt = this.now;
  }

  readHints(count: number): void {
    for (const { hint, at } of this.#wake.splice(0, count)) this.fleet.hint(hint, at);
  }

  pass(ms: number): void {
    this.now += ms;
    if (this.now - this.#readAt > LOOK_MS) this.look();
  }

  #say(facts: Partial<Hint>): void {
    this.#wake.push({ hint: { w: WORKER, i: INCARNATION, ...facts }, at: this.now });
  }
}

type Step = [kind: string, number];
const aStep = (kinds: string[]): fc.Arbitrary<Step> => fc.tuple(fc.constantFrom(...kinds), fc.nat(400));
const steps = (kinds: string[]) => fc.array(aStep(kinds), { minLength: 1, maxLength: 120 });
const USUAL = ['assign', 'assign', 'answer', 'mail', 'end', 'end', 'beat', 'look', 'hints', 'pass', 'pass'];

function take(model: Model, [kind, n]: Step): void {
  switch (kind) {
    case 'assign':
      return model.assign();
    case 'answer':
      return model.answer(false);
    case 'error':
      return model.answer(true);
    case 'mail':
      return model.readMail();
    case 'end':
      return model.end(n, false);
    case 'lose':
      return model.end(n, true);
    case 'back':
      return model.handBack();
    case 'beat':
      return model.beat(n % HEART_LAG_MS);
    case 'look':
      return model.look();
    case 'hints':
      return model.readHints(1 + (n % 5));
    case 'pass':
      return model.pass(n);
    default:
      throw new Error(`no step ${kind}`);
  }
}

describe('the picture of a worker', () => {
  it('never shows a slot as taken that it was told is free, whatever heartbeat is read when', () => {
    fc.assert(
      fc.property(steps(USUAL), (taken) => {
        const model = new Model();
        for (const step of taken) {
          take(model, step);
          model.readHints(Number.POSITIVE_INFINITY);
          const { occupied, urgent, used } = model.fleet.member(WORKER)!;
          const held = model.held.length;
          expect({ occupied, urgent, used }).toEqual({
            occupied: held,
            urgent: held,
            used: held > 0 ? { gpu: held } : {},
          });
        }
      }),
      { numRuns: 300 },
    );
  });

  it('is true again after one heartbeat, whatever was lost before', () => {
    fc.assert(
      fc.property(steps([...USUAL, 'error', 'lose', 'back']), (taken) => {
        const model = new Model();
        for (const step of taken) take(model, step);
        while (model.attempts.some(({ answered }) => !answered)) model.answer(false);
        model.readMail();
        while (model.held.length > 0) model.end(0, true);
        model.readHints(Number.POSITIVE_INFINITY);
        model.pass(HEART_LAG_MS);
        model.beat();
        model.look();
        expect(model.fleet.available(model.now)).toMatchObject([{ occupied: 0, urgent: 0, used: {} }]);
      }),
      { numRuns: 300 },
    );
  });
});
