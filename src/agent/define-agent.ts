/**
 * Agents: named, versioned handlers with schemas. `defineAgent` checks the definition once, so that a wrong one fails
 * where it is written and not in the middle of a task; everything later trusts it.
 */
import type { z } from 'zod';
import { AgentSystemError } from '../errors.ts';
import type { AgentContext } from './context.ts';

/** The method that a task without one means. */
export const DEFAULT_METHOD = 'run';
export const METHODS_MAX = 100;
const NAME = /^[a-z0-9][a-z0-9._-]{0,63}$/;
/** Registered, so that agents made by another copy of this package are known as agents. */
const AGENT = Symbol.for('agent-system.agent');

/** `In` is what is submitted, `Out` what comes back; both exist for the compiler only. */
export interface Agent<In = unknown, Out = unknown> {
  readonly name: string;
  readonly version: string;
  readonly description: string;
  readonly methods: ReadonlyMap<string, AgentMethod>;
  /** Run timeout of one attempt, where the task names none. */
  readonly timeoutMs?: number;
  readonly retry?: AgentRetry;
  /** An attempt is aborted when its lease is over, even if only the store is away: for work that must never overlap. */
  readonly exclusive: boolean;
  /** Attempts at once in the whole system; no limit when it is not given. */
  readonly concurrency?: number;
  /** Attempts at once for one `concurrencyKey` of one tenant; 1 when it is not given. */
  readonly concurrencyPerKey?: number;
  readonly types?: { readonly input: In; readonly output: Out };
}

export interface AgentMethod {
  readonly description: string;
  readonly input?: z.ZodType;
  readonly output?: z.ZodType;
  run(input: unknown, ctx: AgentContext): unknown;
}

export interface AgentRetry {
  maxAttempts?: number;
  backoffMs?: number;
  factor?: number;
  maxBackoffMs?: number;
}

/** What may be submitted to an agent. */
export type AgentInput<A> = A extends { readonly types?: { readonly input: infer In } } ? In : never;
/** What an agent answers. */
export type AgentOutput<A> = A extends { readonly types?: { readonly output: infer Out } } ? Out : never;

export interface AgentSettings<Methods extends MethodInputs> {
  /** 1 to 64 lower-case letters, digits, dots, underscores and hyphens; begins with a letter or digit. */
  name: string;
  /** Default `0.0.0`. */
  version?: string;
  description?: string;
  /** Further methods by name; `run` is the default one. */
  methods?: { [K in keyof Methods]: MethodDefinition<Methods[K]> };
  timeoutMs?: number;
  retry?: AgentRetry;
  exclusive?: boolean;
  /** Attempts at once in the whole system. Default: no limit. */
  concurrency?: number;
  /** Attempts at once for tasks of one tenant with the same `concurrencyKey`. Default: 1, one after another. */
  concurrencyPerKey?: number;
}

type MethodInputs = Record<string, z.ZodType>;

export interface MethodDefinition<Input extends z.ZodType = z.ZodType> {
  description?: string;
  input?: Input;
  output?: z.ZodType;
  run: (input: z.output<Input>, ctx: AgentContext) => unknown;
}

/** Both schemas given: the result is typed by the output schema. */
export function defineAgent<Input extends z.ZodType, Output extends z.ZodType, Methods extends MethodInputs>(
  definition: AgentSettings<Methods> & {
    input: Input;
    output: Output;
    run: (input: z.output<Input>, ctx: AgentContext) => z.input<Output> | Promise<z.input<Output>>;
  },
): Agent<z.input<Input>, z.output<Output>>;
/** The result is typed by what `run` returns. */
export function defineAgent<Input extends z.ZodType, Result, Methods extends MethodInputs>(
  definition: AgentSettings<Methods> & {
    input: Input;
    output?: undefined;
    run: (input: z.output<Input>, ctx: AgentContext) => Result;
  },
): Agent<z.input<Input>, Awaited<Result>>;
/** No input schema: the input is typed, and not checked, by what `run` says it takes. */
export function defineAgent<Input, Result, Methods extends MethodInputs>(
  definition: AgentSettings<Methods> & {
    input?: undefined;
    output?: z.ZodType;
    run: (input: Input, ctx: AgentContext) => Result;
  },
): Agent<Input, Awaited<Result>>;
/** Methods only, none of them the default. */
export function defineAgent<Methods extends MethodInputs>(
  definition: AgentSettings<Methods> & { run?: undefined },
): Agent<unknown, unknown>;
export function defineAgent(definition: AnyDefinition): Agent {
  const problems = problemsOf(definition);
  if (problems.length > 0) {
    throw new AgentSystemError('AGENT_INVALID', problems.join(' '), { details: { problems } });
  }
  const { name, version = '0.0.0', description = '', exclusive = false, concurrency, concurrencyPerKey } = definition;
  const agent: Agent = {
    name,
    version,
    description,
    methods: methodsOf(definition),
    timeoutMs: definition.timeoutMs,
    retry: definition.retry,
    exclusive,
    concurrency,
    concurrencyPerKey,
  };
  Object.defineProperty(agent, AGENT, { value: true });
  return Object.freeze(agent);
}

/** A definition before it was checked: what a module from outside may hold. */
export interface AnyDefinition extends Omit<AgentSettings<MethodInputs>, 'methods'> {
  input?: z.ZodType;
  output?: z.ZodType;
  // Methods are compared both ways in their parameters, so a handler with a narrower input fits here.
  run?(input: never, ctx: AgentContext): unknown;
  methods?: Record<string, { description?: string; input?: z.ZodType; output?: z.ZodType; run: unknown }>;
}

export function isAgent(value: unknown): value is Agent {
  return typeof value === 'object' && value !== null && AGENT in value;
}

function methodsOf(definition: AnyDefinition): Map<string, AgentMethod> {
  const methods = new Map<string, AgentMethod>();
  const { description, input, output, run } = definition;
  if (run)
    methods.set(DEFAULT_METHOD, { description: description ?? '', input, output, run: run as AgentMethod['run'] });
  for (const [name, method] of Object.entries(definition.methods ?? {})) {
    methods.set(name, { ...method, description: method.description ?? '', run: method.run as AgentMethod['run'] });
  }
  return methods;
}

function problemsOf(definition: AnyDefinition): string[] {
  const { name } = definition;
  if (typeof name !== 'string' || !NAME.test(name)) return [`${nameProblem('agent name', name)}`];
  const of = `agent "${name}":`;
  return [
    ...methodProblems(definition, of),
    ...textProblems(definition, of),
    ...numberProblems(definition, of),
    ...schemaProblems(definition, of),
  ];
}

function nameProblem(what: string, found: unknown): string {
  const shown = typeof found === 'string' ? JSON.stringify(found.slice(0, 80)) : String(found);
  return `The ${what} must be 1 to 64 lower-case letters, digits, dots, underscores or hyphens and begin with a letter or digit; found ${shown}.`;
}

function methodProblems({ run, methods }: AnyDefinition, of: string): string[] {
  const named = Object.entries(methods ?? {});
  if (run === undefined && named.length === 0) return [`The ${of} needs \`run\` or \`methods\`; found neither.`];
  const problems: string[] = [];
  if (run !== undefined && typeof run !== 'function') problems.push(`The ${of} \`run\` must be a function.`);
  if (run !== undefined && methods && Object.hasOwn(methods, DEFAULT_METHOD)) {
    problems.push(`The ${of} has both \`run\` and a method named "${DEFAULT_METHOD}"; keep one of them.`);
  }
  if (named.length > METHODS_MAX)
    problems.push(`The ${of} has ${named.length} methods, at most ${METHODS_MAX} may be.`);
  for (const [name, method] of named) {
    if (!NAME.test(name)) problems.push(`The ${of} ${nameProblem('method name', name)}`);
    if (typeof method?.run !== 'function') problems.push(`The ${of} method "${name}" needs a function \`run\`.`);
  }
  return problems;
}

function textProblems({ version, description }: AnyDefinition, of: string): string[] {
  const problems: string[] = [];
  if (version !== undefined && (typeof version !== 'string' || !/^[\w.+-]{1,64}$/.test(version))) {
    problems.push(`The ${of} \`version\` must be text like "1.2.0"; found ${String(version)}.`);
  }
  if (description !== undefined && typeof description !== 'string') {
    problems.push(`The ${of} \`description\` must be text; found ${String(description)}.`);
  }
  return problems;
}

function numberProblems(definition: AnyDefinition, of: string): string[] {
  const { timeoutMs, concurrency, concurrencyPerKey, retry } = definition;
  const problems: string[] = [];
  const check = (field: string, value: number | undefined, fits: (value: number) => boolean, wanted: string) => {
    if (value === undefined || (typeof value === 'number' && fits(value))) return;
    problems.push(`The ${of} \`${field}\` must be ${wanted}; found ${String(value)}.`);
  };
  const positive = (value: number) => value > 0 && Number.isFinite(value);
  const count = (value: number) => Number.isSafeInteger(value) && value >= 1;
  const duration = (value: number) => value >= 0 && Number.isFinite(value);
  check('timeoutMs', timeoutMs, positive, 'milliseconds above 0');
  check('concurrency', concurrency, count, 'a whole number from 1');
  check('concurrencyPerKey', concurrencyPerKey, count, 'a whole number from 1');
  check('retry.maxAttempts', retry?.maxAttempts, count, 'a whole number from 1');
  check('retry.backoffMs', retry?.backoffMs, duration, 'milliseconds from 0');
  check('retry.maxBackoffMs', retry?.maxBackoffMs, duration, 'milliseconds from 0');
  check('retry.factor', retry?.factor, (value) => value >= 1 && Number.isFinite(value), 'a number from 1');
  return problems;
}

function schemaProblems({ input, output, methods }: AnyDefinition, of: string): string[] {
  const schemas: [string, unknown][] = [
    ['input', input],
    ['output', output],
    ...Object.entries(methods ?? {}).flatMap(([name, method]): [string, unknown][] => [
      [`methods["${name}"].input`, method?.input],
      [`methods["${name}"].output`, method?.output],
    ]),
  ];
  return schemas
    .filter(([, schema]) => schema !== undefined && !isSchema(schema))
    .map(([field]) => `The ${of} \`${field}\` must be a zod schema.`);
}

function isSchema(value: unknown): boolean {
  return typeof (value as { safeParse?: unknown } | null)?.safeParse === 'function';
}
