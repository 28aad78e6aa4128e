/** In one process too every hop is a signed envelope in the store's stream, and what is changed there has no effect. */
import { afterAll, beforeAll, expect, it } from 'vitest';
import { type RunningSystem, startSystem } from '../../src/app.ts';
import { loadConfig } from '../../src/config/load.ts';
import type { Observation } from '../../src/runtime/observer.ts';
import type { Store, StreamBatch } from '../../src/store/store.ts';
import { within } from './support/eventually.ts';
import { spoiled } from './support/spoiled.ts';

let system: RunningSystem;
let store: Store;
const rejections: Observation[] = [];
/** Streams of which the next entry is spoiled on its way to its reader. */
const spoil = new Set<string>();

beforeAll(async () => {
  const config = loadConfig({
    env: { SERVER_ID: 'one', HEARTBEAT_INTERVAL: '50ms', INSTANCE_TTL: '5s', LOG_LEVEL: 'silent' },
    readFile: () => '',
    flags: { role: 'all' },
    hostname: 'here',
    randomId: () => 'x',
  });
  system = await startSystem(config!, {
    listen: false,
    wrapStore: (made) => {
      store = made;
      return spoiling(made);
    },
    onObservation: (one) => {
      if (one.type === 'message.rejected') rejections.push(one);
    },
  });
  await system.ready;
});
afterAll(() => system?.stop());

/** The store, but that some entries come out of it with one letter changed. */
function spoiling(made: Store): Store {
  return new Proxy(made, {
    get(target, name) {
      const value = Reflect.get(target, name, target);
      if (typeof value !== 'function') return value;
      if (name !== 'readStreams') return value.bind(target);
      return async (...args: Parameters<Store['readStreams']>) => (await target.readStreams(...args)).map(spoilBatch);
    },
  });
}

function spoilBatch(batch: StreamBatch): StreamBatch {
  const kind = batch.stream.split(':')[0]!;
  if (!spoil.has(kind) || batch.entries.length === 0) return batch;
  spoil.delete(kind);
  const entries = batch.entries.map(({ id, fields }) => ({ id, fields: { ...fields, e: spoiled(fields.e!) } }));
  return { ...batch, entries };
}

it.each(['mail', 'reports'])(
  'quarantines a spoiled entry of %s, counts it, and completes the task all the same',
  async (kind) => {
    spoil.add(kind);
    const handle = await system.client!.submit('echo', { text: kind });
    expect(await handle.result({ timeout: '10s' })).toEqual({ text: kind });
    expect(spoil.size).toBe(0);
    expect(rejections).toContainEqual(expect.objectContaining({ reason: 'signature' }));
    const kept = await within(2_000, 'it is in the quarantine', async () => {
      const all = await store.quarantined(0, 10);
      return all.find(({ stream }) => stream.includes(kind));
    });
    expect(kept).toMatchObject({ reason: 'signature' });
    expect((await system.metrics.render()).text).toMatch(/agent_messages_rejected_total\{reason="signature"\} [1-9]/);
    const { history } = await handle.history();
    expect(history.filter(({ kind, state }) => kind === 'transition' && state === 'completed')).toHaveLength(1);
  },
);
