/*
 * Submits one task for each line of a file. The file is read as it is sent, so its size does not matter; a line that is
 * refused is named by its number and the others go on. Nothing is repeated: a line whose answer was lost may have become
 * a task, and the message says so.
 */
import { stat } from 'node:fs/promises';
import { resolve } from 'node:path';
import { requestOf, type SubmitOptions } from '../../client/submit-options.ts';
import type { Receipt } from '../../client/transport.ts';
import { AgentSystemError } from '../../errors.ts';
import type { SubmitRequest } from '../../service/submit-request.ts';
import { type CommandContext, unlessInterrupted } from '../command.ts';
import { EXIT } from '../exit-codes.ts';
import { endsEverything } from '../failure.ts';
import { count } from '../human.ts';
import { type Line, readLines } from '../lines.ts';
import { Progress } from '../progress.ts';
import { fileSource, type Source } from '../read-input.ts';
import { printable } from '../text-width.ts';

export const CHUNK_LINES_MAX = 500;
/** A chunk of usual lines stays far below what a coordinator takes at once, whatever its MAX_PAYLOAD_BYTES. */
export const CHUNK_BYTES_MAX = 256 * 1024;
/** Refused lines that are told one by one. */
const REFUSALS_SHOWN = 100;

export interface BatchFlags {
  /** `-` = stdin. */
  path: string;
  /** Undefined: every line is a whole task. */
  agent: string | undefined;
  options: SubmitOptions;
}

export async function submitBatch(flags: BatchFlags, context: CommandContext): Promise<number> {
  const { source, bytes } = await open(flags.path, context);
  return new Batch(flags, context, bytes).run(source);
}

async function open(path: string, { io }: CommandContext): Promise<{ source: Source; bytes: number | null }> {
  if (path === '-') return { source: { name: 'stdin', chunks: io.stdin() }, bytes: null };
  const bytes = await stat(resolve(io.cwd, path)).then(
    (found) => found.size,
    () => null,
  );
  return { source: fileSource(path, io.cwd), bytes };
}

/** What is printed for each line in json and ndjson. */
type LineAnswer =
  | { line: number; id: string; created: boolean }
  | { line: number; error: { code: string; message: string } };

/** A line on its way: those that cannot be sent wait with the others, so that answers come in the order of the lines. */
type Pending = { line: number } & ({ request: SubmitRequest } | { fault: string });
type Sendable = Extract<Pending, { request: SubmitRequest }>;

class Batch {
  readonly #flags: BatchFlags;
  readonly #context: CommandContext;
  readonly #fileBytes: number | null;
  readonly #progress: Progress;
  readonly #answers: LineAnswer[] = [];
  #pending: Pending[] = [];
  #pendingBytes = 0;
  #bytesRead = 0;
  #submitted = 0;
  #known = 0;
  #refused = 0;

  constructor(flags: BatchFlags, context: CommandContext, fileBytes: number | null) {
    this.#flags = flags;
    this.#context = context;
    this.#fileBytes = fileBytes;
    this.#progress = new Progress({ io: context.io, runtime: context.runtime, noun: 'tasks' });
  }

  async run(source: Source): Promise<number> {
    const { printer } = this.#context;
    let begun = false;
    try {
      for await (const line of readLines(source)) {
        begun = true;
        await this.#take(line);
      }
      await this.#send();
      begun = true;
    } finally {
      this.#progress.clear();
      if (printer.format === 'json') printer.json(this.#answers);
      // A file that could not even be opened is told of by its error alone.
      if (begun) printer.note(this.#summary());
    }
    return this.#refused > 0 ? EXIT.failed : EXIT.ok;
  }

  async #take(line: Line): Promise<void> {
    this.#bytesRead += line.bytes;
    const bytes = 'text' in line ? line.bytes : 0;
    if (this.#pendingBytes + bytes > CHUNK_BYTES_MAX) await this.#send();
    const read = 'text' in line ? this.#read(line.text) : { fault: line.fault };
    this.#pending.push({ line: line.number, ...read });
    this.#pendingBytes += bytes;
    if (this.#pending.length >= CHUNK_LINES_MAX) await this.#send();
  }

  #read(text: string): { request: SubmitRequest } | { fault: string } {
    const { agent, options } = this.#flags;
    let value: unknown;
    try {
      value = JSON.parse(text);
    } catch (error) {
      return { fault: `not JSON: ${(error as Error).message}` };
    }
    if (agent !== undefined) return { request: requestOf(agent, value, options) };
    if (typeof value !== 'object' || value === null || Array.isArray(value)) {
      return { fault: 'not an object; wanted a task such as {"agent":"echo","input":{}}' };
    }
    const { agent: _agent, input: _input, ...shared } = requestOf('', undefined, options);
    return { request: { ...defined(shared), ...value } as SubmitRequest };
  }

  async #send(): Promise<void> {
    const pending = this.#pending;
    this.#pending = [];
    this.#pendingBytes = 0;
    const answers = await this.#submit(pending.filter((one) => 'request' in one));
    for (const one of pending) {
      if ('fault' in one) this.#refuse(one.line, { code: 'BAD_REQUEST', message: one.fault });
      else this.#answered(one.line, answers.shift()!);
    }
    this.#show();
  }

  async #submit(sent: Sendable[]): Promise<(Receipt | AgentSystemError)[]> {
    if (sent.length === 0) return [];
    const { client, signal } = this.#context;
    try {
      return await unlessInterrupted(client.submitMany(sent.map(({ request }) => request)), signal);
    } catch (error) {
      if (endsEverything(error) || !(error instanceof AgentSystemError) || error.retryable)
        throw this.#broken(sent, error);
      // The chunk was refused as a whole, such as for its size: so was each of its lines.
      return sent.map(() => error);
    }
  }

  #broken(sent: Sendable[], error: unknown): unknown {
    const [first, last] = [sent[0]!.line, sent.at(-1)!.line];
    const lines = first === last ? `line ${first}` : `lines ${first} to ${last}`;
    this.#progress.clear();
    this.#context.printer.note(`${lines}: no answer came, they may have become tasks; nothing after them was sent`);
    return error;
  }

  #answered(line: number, answer: Receipt | AgentSystemError): void {
    if (answer instanceof AgentSystemError) return this.#refuse(line, answer);
    if (answer.created) this.#submitted++;
    else this.#known++;
    this.#record({ line, id: answer.task.id, created: answer.created });
  }

  #refuse(line: number, { code, message }: { code: string; message: string }): void {
    this.#refused++;
    this.#record({ line, error: { code, message } });
    if (this.#refused > REFUSALS_SHOWN) return;
    this.#progress.clear();
    const rest = this.#refused === REFUSALS_SHOWN ? '\n(further refused lines are only counted)' : '';
    this.#context.printer.note(`line ${line}: ${printable(message)}${rest}`);
  }

  #record(answer: LineAnswer): void {
    const { printer } = this.#context;
    if (printer.format === 'ndjson') printer.line(answer);
    else if (printer.format === 'json') this.#answers.push(answer);
  }

  #show(): void {
    const fraction = this.#fileBytes ? this.#bytesRead / this.#fileBytes : null;
    const note = this.#refused > 0 ? `${this.#refused.toLocaleString('en')} refused` : undefined;
    this.#progress.update({ done: this.#submitted + this.#known, total: null, fraction, note });
  }

  #summary(): string {
    const parts = [`${count(this.#submitted, 'task')} submitted`];
    if (this.#known > 0) parts.push(`${this.#known.toLocaleString('en')} known before`);
    if (this.#refused > 0) parts.push(`${count(this.#refused, 'line')} refused`);
    return parts.join(', ');
  }
}

/** A field that was not given must not hide the one of the line. */
function defined<T extends object>(from: T): Partial<T> {
  return Object.fromEntries(Object.entries(from).filter(([, value]) => value !== undefined)) as Partial<T>;
}
