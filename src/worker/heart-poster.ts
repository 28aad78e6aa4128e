import type { Runtime } from '../runtime/runtime.ts';
import type { Heart, HeartFacts, HeartPost, HeldChange, HeldStage } from './heart.ts';

/** What does not matter before the next beat is told together with what comes in this time. */
const GATHER_MS = 50;

export interface HeartPosterOptions {
  heart: Heart;
  runtime: Runtime;
  /** Per shard, the last mailbox entry acted on. */
  mailbox: () => string[];
  facts: () => HeartFacts;
}

/**
 * Tells the heart what changes, in few posts. That an attempt waits or starts is posted before its handler may block the
 * loop (`now`); that it ended or was released can wait a moment, and mostly meets in one entry.
 */
export class HeartPoster {
  readonly #options: HeartPosterOptions;
  #changes = new Map<string, HeldChange>();
  #told = '';
  #hurry = false;
  #cancel: (() => void) | undefined;

  constructor(options: HeartPosterOptions) {
    this.#options = options;
  }

  change(shard: number, held: string, stage: HeldStage, endsAt?: number): void {
    this.#changes.set(held, endsAt === undefined ? [shard, held, stage] : [shard, held, stage, endsAt]);
    this.#cancel ??= this.#options.runtime.after(GATHER_MS, () => this.now());
  }

  /** The next post asks for a beat at once. */
  hurry(): void {
    this.#hurry = true;
    this.#options.runtime.soon(() => {
      if (this.#hurry) this.now();
    });
  }

  now(): void {
    const { heart, runtime, mailbox } = this.#options;
    this.#cancel?.();
    this.#cancel = undefined;
    const post: HeartPost = {
      progressAt: runtime.now(),
      changes: [...this.#changes.values()],
      mailbox: mailbox(),
      facts: this.#changedFacts(),
      hurry: this.#hurry,
    };
    this.#changes = new Map();
    this.#hurry = false;
    heart.post(post);
  }

  stop(): void {
    this.#cancel?.();
    this.#cancel = undefined;
    this.#hurry = false;
  }

  #changedFacts(): HeartFacts | undefined {
    const facts = this.#options.facts();
    const agents = facts.agents?.map(({ name, version }) => `${name}@${version}`);
    const told = `${facts.ready} ${facts.draining} ${facts.extra} ${facts.quick.join(' ')} ${agents?.join(' ')} ${usedText(facts)}`;
    if (told === this.#told) return undefined;
    this.#told = told;
    return facts;
  }
}

function usedText({ used = {} }: HeartFacts): string {
  return Object.entries(used).join(' ');
}
