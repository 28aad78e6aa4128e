import { AgentCatalog } from '../../src/service/agent-catalog.ts';
import { EventFeed } from '../../src/service/event-feed.ts';
import type { SubmitRequest } from '../../src/service/submit-request.ts';
import { TaskService } from '../../src/service/task-service.ts';
import { Waiters } from '../../src/service/waiters.ts';
import { World, type WorldOptions } from '../coordinator/world.ts';

const CARDS = [
  {
    name: 'echo',
    methods: { run: { input: { type: 'object', properties: { text: { type: 'string' } } } }, shout: {} },
  },
  { name: 'slow', methods: { run: {} }, timeoutMs: 7_000, retry: { maxAttempts: 9 } },
];

/** One coordinator's task service, with the feed by which it learns what others commit. */
export class ServiceWorld extends World {
  readonly tasks: TaskService;
  readonly waiters: Waiters;
  readonly feed: EventFeed;

  constructor(options: WorldOptions = {}) {
    super(options);
    const { tasks, waiters, feed } = this.another();
    this.tasks = tasks;
    this.waiters = waiters;
    this.feed = feed;
  }

  /** The service of another coordinator over the same store. */
  another(): { tasks: TaskService; waiters: Waiters; feed: EventFeed } {
    const { store, keys, clock, runtime, policy, observe } = this;
    const waiters = new Waiters();
    const catalog = new AgentCatalog(store, runtime);
    const durability = () => 'memory' as const;
    const tasks = new TaskService({ store, keys, clock, runtime, policy, catalog, waiters, observe, durability });
    const onChanges = (changes: { id: string; state: string }[]) => {
      for (const { id, state } of changes) waiters.tell(id, state);
    };
    const feed = new EventFeed({ store, shards: policy.shards, runtime, observe, onChanges });
    return { tasks, waiters, feed };
  }

  async announce(): Promise<this> {
    await this.store.announce(CARDS.map((card) => ({ name: card.name, card: JSON.stringify(card) })));
    return this;
  }

  /** Lets the loop turn until a call of the service is answered, at most `ms` of virtual time. */
  async call<T>(call: Promise<T>, ms = 1): Promise<T> {
    const settled = call.then(
      (value) => ({ value }),
      (error: unknown) => ({ error }),
    );
    await this.advance(ms);
    const outcome = await settled;
    if ('error' in outcome) throw outcome.error;
    return outcome.value;
  }

  /** Submits through the service; answers the id. */
  async post(request: Partial<SubmitRequest> = {}): Promise<string> {
    const { task } = await this.call(this.tasks.submit({ agent: 'echo', input: { text: 'hi' }, ...request }));
    return task.id;
  }
}
