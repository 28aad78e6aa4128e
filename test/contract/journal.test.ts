/** The contract on the embedded store with a journal, whose answers wait for a real disk. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createMemoryStore } from '../../src/store/memory/memory-store.ts';
import { describeStore } from './store-contract.ts';
import { virtualRuntime } from './virtual-runtime.ts';

describeStore('journaled', async ({ shards }) => {
  const runtime = virtualRuntime();
  const folder = await mkdtemp(join(tmpdir(), 'agent-system-journal-'));
  const store = createMemoryStore({ runtime, shards, journal: { folder, sync: 'everysec' } });
  await store.check();
  const close = async () => {
    await store.close();
    await rm(folder, { recursive: true, force: true });
  };
  return { store, advance: runtime.advance, close };
});
