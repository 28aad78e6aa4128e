import type { KeyRing } from '../message/keys.ts';
import type { Observe } from '../runtime/observer.ts';
import type { Runtime } from '../runtime/runtime.ts';
import type { Store } from '../store/store.ts';
import type { StoreClock } from '../store/store-clock.ts';
import type { SystemPolicy } from '../task/policy.ts';

/** What everything that changes tasks works with. */
export interface Ports {
  store: Store;
  keys: KeyRing;
  clock: StoreClock;
  runtime: Runtime;
  policy: SystemPolicy;
  observe: Observe;
}
