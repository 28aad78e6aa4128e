/**
 * Fetches inputs that are stored apart, each when its attempt has got a slot: no more of them are in memory than slots. What
 * comes is compared with the reference in the signed assignment, whose sender compared that with the sealed specification.
 */
import { digestOf } from '../message/seal.ts';
import { pause, type Runtime } from '../runtime/runtime.ts';
import { backoffMs } from '../store/patience.ts';
import type { Store } from '../store/store.ts';
import { parseRef } from '../task/payload.ts';

/**
 * Then the slot goes to others, which may need nothing of the store. Also after errors that a repetition does not mend: an
 * attempt that was handed back at once would be back at once.
 */
const PATIENCE_MS = 10_000;

export type LoadedInput =
  | { ok: true; text: string }
  /** Not in time. */
  | { ok: false; why: 'unread'; error: unknown }
  /** What is there is not what was submitted, or nothing is. */
  | { ok: false; why: 'wrong'; detail: string };

export interface InputLoaderPorts {
  store: Store;
  runtime: Runtime;
}

/**
 * @param reference stands in the assignment in place of the input
 * @param isWanted false once the attempt ended otherwise, which ends the waiting
 */
export async function loadInput(
  { store, runtime }: InputLoaderPorts,
  place: { shard: number; task: string; reference: string },
  isWanted: () => boolean,
): Promise<LoadedInput> {
  const until = runtime.now() + PATIENCE_MS;
  for (let tried = 1; ; tried++) {
    try {
      return judged(await store.payload(place.shard, place.task, 'input'), place.reference);
    } catch (error) {
      if (runtime.now() >= until || !isWanted()) return { ok: false, why: 'unread', error };
    }
    await pause(runtime, backoffMs(tried, runtime.random()));
  }
}

function judged(text: string | null, reference: string): LoadedInput {
  if (text === null) return wrong('its input is gone');
  const ref = parseRef(reference);
  const fits = ref?.bytes === Buffer.byteLength(text) && ref.digest === digestOf(text);
  return fits ? { ok: true, text } : wrong('its input is not the one that was submitted');
}

function wrong(detail: string): LoadedInput {
  return { ok: false, why: 'wrong', detail };
}
