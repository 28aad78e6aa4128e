/** The embedded store holds large payloads in their records, so whatever keeps those keeps these. */
import { expect, it } from 'vitest';
import { aUnit, jsonOf, refTo } from '../support/builders.ts';
import { aFolder, copyOf, openJournal } from './journal/support.ts';

const INPUT = jsonOf(50_000);
const RESULT = jsonOf(60_000, 'r');
const KEPT = { holder: 'w1@100-aa', attemptId: 'a1' };

it('brings large inputs and adopted results back from its journal', async () => {
  const { store, folder } = await openJournal(await aFolder());
  const unit = aUnit({ input: refTo(INPUT), large: { input: INPUT } });
  await store.commit(0, { op: 'create', units: [unit] });
  await store.putResult(0, KEPT, RESULT, 60_000);
  const end = { id: unit.id, expect: 1, state: 'completed' as const, result: refTo(RESULT), adopt: KEPT, indexes: [] };
  await store.commit(0, { op: 'end', units: [end] });
  await store.close();

  const again = await openJournal(await copyOf(folder));
  const { tasks } = await again.store.read(0, [unit.id], { input: true, result: true });
  expect(tasks).toMatchObject([{ state: 'completed', input: INPUT, result: RESULT }]);
  const refs = await again.store.read(0, [unit.id], { input: 'ref' });
  expect(refs.tasks).toMatchObject([{ input: refTo(INPUT) }]);
});
