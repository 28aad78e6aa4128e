/*
 * Inputs and results are JSON text. A small one stands in its record and travels with it; a large one is stored once, under
 * its task and part, and everywhere else stands a reference of a few bytes: in the record, in the assignment, in the
 * report. So it is copied into no mailbox and passes through no process that does not look into it.
 *
 * The reference holds the length and the SHA-256 of the text. The input's digest also stands in the sealed specification,
 * the result's in the report that its worker signed, so whoever fetches the text knows whether it is the right one.
 * JSON never begins with `@`, which tells the two apart.
 */

/**
 * From here on a payload is stored apart: two more round trips for it, against copies through scripts, base64 and a MAC at
 * each hop. With an echo through all roles the two take Redis the same time at 14 KiB and all processes together at about
 * 32 KiB; with 1 MiB, apart takes Redis a third and all together two thirds of the time in the record.
 */
export const LARGE_PAYLOAD_BYTES = 16 * 1024;

export type PayloadPart = 'input' | 'result';

export interface PayloadRef {
  /** Of the text in UTF-8. */
  bytes: number;
  /** SHA-256 in base64url. */
  digest: string;
}

/** @param text JSON */
export function isLarge(text: string): boolean {
  // A unit of UTF-16 has one to three bytes: mostly nothing needs to be counted.
  if (text.length > LARGE_PAYLOAD_BYTES) return true;
  return text.length * 3 > LARGE_PAYLOAD_BYTES && Buffer.byteLength(text) > LARGE_PAYLOAD_BYTES;
}

/** Whether this stands for a text that is stored apart. */
export function isRef(payload: string): boolean {
  return payload.startsWith('@');
}

export function refText({ bytes, digest }: PayloadRef): string {
  return `@${bytes} ${digest}`;
}

const FORM = /^@([1-9]\d{0,11}) ([\w-]{43})$/;

/** Null for what is no reference, or none that can be read. */
export function parseRef(payload: string): PayloadRef | null {
  const match = FORM.exec(payload);
  return match && { bytes: Number(match[1]), digest: match[2]! };
}
