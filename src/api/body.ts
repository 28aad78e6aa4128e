/*
 * Reads request bodies: JSON in UTF-8 and nothing else. What a body could do to its reader (nesting that exhausts the
 * stack, keys that reach a prototype) is refused on the text, before any object is made of it where that is possible.
 */
import { isUtf8 } from 'node:buffer';
import type { IncomingHttpHeaders } from 'node:http';
import type { z } from 'zod';
import { AgentSystemError } from '../errors.ts';
import { foundAndWanted } from '../service/found-and-wanted.ts';
import { badRequest } from '../service/submit-request.ts';
import { unsupportedMediaType } from './errors.ts';
import { findJsonFault } from './json-fault.ts';

export const DEPTH_MAX = 32;
/** A batch puts two levels around each task, which may be as deep as one that comes alone. */
export const BATCH_DEPTH_MAX = DEPTH_MAX + 2;
/** What a body may have beyond the payload in it: the other fields of a task. */
const BODY_EXTRA_BYTES = 64 * 1024;
const BATCH_BODIES = 8;

export function bodyLimits({ maxPayloadBytes }: { maxPayloadBytes: number }): { single: number; batch: number } {
  const single = maxPayloadBytes + BODY_EXTRA_BYTES;
  return { single, batch: BATCH_BODIES * single };
}

/** Throws UNSUPPORTED_MEDIA_TYPE for a body that is compressed or in another encoding than UTF-8. */
export function checkEncoding(headers: IncomingHttpHeaders): void {
  const encoding = headers['content-encoding'];
  if (encoding !== undefined && encoding !== 'identity') {
    throw unsupportedMediaType(`the body is encoded as ${JSON.stringify(encoding.slice(0, 80))}`);
  }
  const type = headers['content-type'];
  if (type === 'application/json' || type === undefined) return;
  const charset = /;\s*charset\s*=\s*"?([^";\s]*)/i.exec(type)?.[1];
  if (charset !== undefined && !/^utf-?8$/i.test(charset)) {
    throw unsupportedMediaType(`the body is in ${JSON.stringify(charset.slice(0, 80))}`);
  }
}

/** The value of a body; undefined when it is empty. Throws BAD_REQUEST that says what is wrong and where. */
export function readJson(bytes: Buffer, depthMax: number): unknown {
  if (bytes.length === 0) return undefined;
  if (!isUtf8(bytes)) throw new AgentSystemError('BAD_REQUEST', 'the body is not valid UTF-8');
  const text = bytes.toString('utf8');
  refuseDepth(text, depthMax);
  const value = parse(text);
  if (mayHoldPrototypeKeys(text)) refusePrototypeKeys(value, '');
  if (MAY_BE_TOO_LARGE.test(text)) refuseInfinite(value, '');
  return value;
}

/**
 * The body as `schema` reads it; none at all counts as an object without fields. Throws BAD_REQUEST that names every field.
 *
 * @param what is refused otherwise, such as `the cancel`
 */
export function readFields<T>(body: unknown, schema: z.ZodType<T>, what: string): T {
  const read = schema.safeParse(body ?? {}, { error: foundAndWanted });
  if (read.success) return read.data;
  throw badRequest(read.error, what);
}

/** Throws BAD_REQUEST for a body that is not there. */
export function required(body: unknown): unknown {
  if (body !== undefined) return body;
  throw new AgentSystemError('BAD_REQUEST', 'the body is empty: a JSON object is wanted');
}

const QUOTE = 0x22;
const BACKSLASH = 0x5c;
const OPEN_BRACE = 0x7b;
const OPEN_BRACKET = 0x5b;
const CLOSE_BRACE = 0x7d;
const CLOSE_BRACKET = 0x5d;

/** Counts brackets outside strings. Right for every valid text; what it says of others the parser refuses anyway. */
function refuseDepth(text: string, max: number): void {
  if (text.length <= 2 * max) return;
  let depth = 0;
  for (let at = 0; at < text.length; at++) {
    const code = text.charCodeAt(at);
    if (code === QUOTE) {
      at = endOfString(text, at);
    } else if (code === OPEN_BRACE || code === OPEN_BRACKET) {
      depth += 1;
      if (depth > max) throw tooDeep(at, max);
    } else if (code === CLOSE_BRACE || code === CLOSE_BRACKET) {
      depth -= 1;
    }
  }
}

/** Position of the quote that closes the string which opens at `start`; the text's end if none does. */
function endOfString(text: string, start: number): number {
  for (let at = text.indexOf('"', start + 1); at >= 0; at = text.indexOf('"', at + 1)) {
    let backslashes = 0;
    while (text.charCodeAt(at - 1 - backslashes) === BACKSLASH) backslashes += 1;
    if (backslashes % 2 === 0) return at;
  }
  return text.length;
}

function tooDeep(position: number, max: number): AgentSystemError {
  const message = `the body is nested deeper than ${max} levels (at character ${position + 1})`;
  return new AgentSystemError('BAD_REQUEST', message, { details: { max, position } });
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (cause) {
    const fault = findJsonFault(text);
    if (!fault) throw cause;
    const { position, line, column, wanted } = fault;
    const found = position >= text.length ? 'the end' : JSON.stringify(text.slice(position, position + 12));
    const message = `the body is not valid JSON: line ${line}, column ${column} has ${found} where ${wanted} is wanted`;
    throw new AgentSystemError('BAD_REQUEST', message, { details: { position, line, column } });
  }
}

/** Cheap and never wrong in saying no: a key can only be one of these if its name or an escape stands in the text. */
function mayHoldPrototypeKeys(text: string): boolean {
  return text.includes('__proto__') || text.includes('constructor') || text.includes('\\u');
}

/** A number beyond what a double holds is read as infinite, which JSON cannot write: it would be stored as null. */
const MAY_BE_TOO_LARGE = /\d[eE]\+?\d{3}|\d{309}/;

function refuseInfinite(value: unknown, path: string): void {
  if (value === Number.POSITIVE_INFINITY || value === Number.NEGATIVE_INFINITY) {
    const problem = 'is a number beyond what can be kept: write it as a text';
    throw new AgentSystemError('BAD_REQUEST', `the body is refused: ${path || '(body)'} ${problem}`, {
      details: { fields: [{ field: path || '(body)', problem }] },
    });
  }
  if (typeof value !== 'object' || value === null) return;
  for (const [name, member] of Object.entries(value)) refuseInfinite(member, path === '' ? name : `${path}.${name}`);
}

/** `__proto__` anywhere, and `constructor` with a `prototype` in it: they reach every object of whoever copies them. */
function refusePrototypeKeys(value: unknown, path: string): void {
  if (typeof value !== 'object' || value === null) return;
  for (const [name, member] of Object.entries(value)) {
    const place = path === '' ? name : `${path}.${name}`;
    if (name === '__proto__') throw forbiddenKey(place);
    if (name === 'constructor' && holdsPrototype(member)) throw forbiddenKey(`${place}.prototype`);
    refusePrototypeKeys(member, place);
  }
}

function holdsPrototype(value: unknown): boolean {
  return typeof value === 'object' && value !== null && Object.hasOwn(value, 'prototype');
}

function forbiddenKey(field: string): AgentSystemError {
  const problem = 'this key is not taken, it could change the prototype of objects';
  return new AgentSystemError('BAD_REQUEST', `the body is refused: ${field}: ${problem}`, {
    details: { fields: [{ field, problem }] },
  });
}
