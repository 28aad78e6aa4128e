import { createMemoryStore } from '../../src/store/memory/memory-store.ts';
import { describeStore } from './store-contract.ts';
import { virtualRuntime } from './virtual-runtime.ts';

describeStore('memory', async ({ shards }) => {
  const runtime = virtualRuntime();
  const store = createMemoryStore({ runtime, shards });
  return { store, advance: runtime.advance, close: () => store.close() };
});
