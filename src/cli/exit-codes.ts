/** What a command says to the shell; the numbers from 64 on are those of sysexits.h, those over 128 the shell's own. */
import type { StopSignal } from './io.ts';

export const EXIT = {
  ok: 0,
  /** It was refused, not found, or failed. */
  failed: 1,
  usage: 2,
  cancelled: 3,
  waitedTooLong: 4,
  unreachable: 69,
  notAllowed: 77,
  configuration: 78,
} as const;

export function exitCodeOf(signal: StopSignal): number {
  return signal === 'SIGINT' ? 130 : 143;
}
