import { z } from 'zod';
import { AgentSystemError } from '../errors.ts';
import { nearest } from '../runtime/near-names.ts';
import type { Runtime } from '../runtime/runtime.ts';
import type { Store } from '../store/store.ts';
import type { RetryPolicy } from '../task/task.ts';

const REFRESH_MS = 5_000;
const REFRESH_FOR_UNKNOWN_MS = 250;
/** An input may hold a fault for every few bytes of it. */
const FIELDS_TOLD = 50;

/** What coordinators know of an agent that some worker once registered. */
export interface AgentCard {
  name: string;
  version?: string;
  description?: string;
  /** Run timeout of one attempt, where the task names none. */
  timeoutMs?: number;
  /** What the agent says about retries, where the task says nothing. */
  retry?: Partial<RetryPolicy>;
  /** Attempts at once, in all and for one concurrency key. */
  concurrency?: number;
  concurrencyPerKey?: number;
  methods: Record<string, { input?: unknown; output?: unknown }>;
}

interface KnownAgent {
  card: AgentCard;
  text: string;
  /** Built from the card's JSON Schema on first use; null where the schema cannot be read. */
  schemas: Map<string, z.ZodType | null>;
}

/** The agents ever registered: a task for one of them is accepted even while none of its workers is there. */
export class AgentCatalog {
  readonly #store: Store;
  readonly #runtime: Runtime;
  #known = new Map<string, KnownAgent>();
  #readAt = Number.NEGATIVE_INFINITY;
  #reading: Promise<void> | null = null;

  constructor(store: Store, runtime: Runtime) {
    this.#store = store;
    this.#runtime = runtime;
  }

  async cards(): Promise<AgentCard[]> {
    await this.#refresh(REFRESH_FOR_UNKNOWN_MS);
    return [...this.#known.values()].map((known) => known.card);
  }

  /** Reads the cards anew, however fresh they are. */
  async reload(): Promise<void> {
    this.#readAt = Number.NEGATIVE_INFINITY;
    await this.#refresh(0);
  }

  /**
   * The card of the agent, which takes this input.
   * @throws UNKNOWN_AGENT (with near names), UNKNOWN_METHOD, BAD_REQUEST (with the fields of the input at fault)
   */
  async check(agent: string, method: string, input: unknown): Promise<AgentCard> {
    if (!this.#known.has(agent)) await this.#refresh(REFRESH_FOR_UNKNOWN_MS);
    else if (this.#stale(REFRESH_MS)) void this.#refresh(REFRESH_MS).catch(() => undefined);
    const known = this.#known.get(agent) ?? this.#unknown(agent);
    if (!Object.hasOwn(known.card.methods, method)) unknownMethod(known.card, method);
    const checked = schemaOf(known, method)?.safeParse(input);
    if (checked && !checked.success) throw inputRefused(agent, checked.error);
    return known.card;
  }

  #stale(ms: number): boolean {
    return this.#runtime.now() - this.#readAt >= ms;
  }

  async #refresh(olderThanMs: number): Promise<void> {
    if (!this.#stale(olderThanMs)) return;
    this.#reading ??= this.#read().finally(() => {
      this.#reading = null;
    });
    await this.#reading;
  }

  async #read(): Promise<void> {
    const entries = await this.#store.catalog();
    const known = new Map<string, KnownAgent>();
    for (const { name, card } of entries) {
      const before = this.#known.get(name);
      const read = before?.text === card ? before : readCard(name, card);
      if (read) known.set(name, read);
    }
    this.#known = known;
    this.#readAt = this.#runtime.now();
  }

  #unknown(agent: string): never {
    const near = nearest(agent, [...this.#known.keys()]);
    const none = this.#known.size === 0 ? '; no agent is registered by a worker yet' : '';
    const hint = near.length > 0 ? `; did you mean ${near.join(' or ')}?` : none;
    throw new AgentSystemError('UNKNOWN_AGENT', `no worker ever registered an agent "${agent}"${hint}`, {
      details: { agent, near },
    });
  }
}

function unknownMethod(card: AgentCard, method: string): never {
  const methods = Object.keys(card.methods);
  throw new AgentSystemError(
    'UNKNOWN_METHOD',
    `agent ${card.name} has no method "${method}", it has ${methods.join(', ')}`,
    {
      details: { agent: card.name, method, methods },
    },
  );
}

function inputRefused(agent: string, error: z.ZodError): AgentSystemError {
  const fields = error.issues
    .slice(0, FIELDS_TOLD)
    .map(({ path, message }) => ({ field: ['input', ...path].join('.'), problem: message }));
  const text = fields.map(({ field, problem }) => `${field}: ${problem}`).join('; ');
  return new AgentSystemError('BAD_REQUEST', `the input does not fit agent ${agent}: ${text}`, { details: { fields } });
}

function schemaOf(known: KnownAgent, method: string): z.ZodType | null {
  const cached = known.schemas.get(method);
  if (cached !== undefined) return cached;
  const schema = readSchema(known.card.methods[method]?.input);
  known.schemas.set(method, schema);
  return schema;
}

/** A schema this version of zod cannot read is left to the worker, which checks every input with the original. */
function readSchema(json: unknown): z.ZodType | null {
  if (json === undefined || json === null) return null;
  try {
    return z.fromJSONSchema(json as Parameters<typeof z.fromJSONSchema>[0]);
  } catch {
    return null;
  }
}

/** Null for what is no card: whoever wrote that into the store must not keep other agents' tasks out. */
function readCard(name: string, text: string): KnownAgent | null {
  try {
    const card = JSON.parse(text) as AgentCard | null;
    return card !== null && isCard(card, name) ? { card, text, schemas: new Map() } : null;
  } catch {
    return null;
  }
}

/** What of it goes into the specifications of tasks must be what an agent may say: it is sealed there for good. */
function isCard(card: AgentCard, wanted: string): boolean {
  const { name, methods, timeoutMs = 1, retry = {}, concurrency = 1, concurrencyPerKey = 1 } = card;
  if (!isLimit(concurrency) || !isLimit(concurrencyPerKey)) return false;
  if (name !== wanted || typeof methods !== 'object' || methods === null) return false;
  if (typeof retry !== 'object' || retry === null || !(isNumber(timeoutMs) && timeoutMs > 0)) return false;
  const { maxAttempts = 1, backoffMs = 0, factor = 1, maxBackoffMs = 0 } = retry;
  return [maxAttempts, backoffMs, factor, maxBackoffMs].every((value) => isNumber(value) && value >= 0);
}

function isNumber(value: unknown): value is number {
  return typeof value === 'number' && Number.isFinite(value);
}

function isLimit(value: unknown): boolean {
  return Number.isSafeInteger(value) && (value as number) >= 1;
}
