import { describe, expect, it } from 'vitest';
import { Reconciler } from '../../src/coordinator/reconciler.ts';
import { type KeyGeneration, keyRing } from '../../src/message/keys.ts';
import { RotatingKeyRing } from '../../src/message/rotating-key-ring.ts';
import { checkSeal, seal } from '../../src/message/seal.ts';
import { SECRET, World } from './world.ts';

const OLD: KeyGeneration = { kid: 'root', secret: SECRET };
const NEW: KeyGeneration = { kid: 'next', secret: 'the next secret of thirty-two bytes' };

/** A shard's owner whose ring begins with the key that the world seals with. */
async function anOwner() {
  const world = new World();
  const keys = new RotatingKeyRing(
    { worker: null, generations: [OLD] },
    { runtime: world.runtime, signsAfterMs: 30_000 },
  );
  const owner = await world.own();
  const reconciler = new Reconciler({ ...owner, keys });
  /** More ticks than a walk over everything takes, and the rest after it. */
  const walk = async () => {
    for (let n = 0; n < 5; n++) {
      await reconciler.tick();
      await world.advance(2_000);
    }
  };
  const rotate = async (...generations: KeyGeneration[]) => {
    keys.replace({ worker: null, generations });
    await world.advance(30_000);
  };
  return { world, keys, walk, rotate };
}

const onlyNew = keyRing([NEW]);

describe('the owner', () => {
  it('seals waiting tasks anew once a newer key signs, and leaves them as they are in all else', async () => {
    const { world, walk, rotate } = await anOwner();
    const queued = await world.submit();
    const scheduled = await world.submit({ runAt: world.now() + 3_600_000 });
    const before = await Promise.all([queued, scheduled].map((id) => world.task(id)));
    await walk();
    expect(await Promise.all([queued, scheduled].map((id) => world.task(id)))).toEqual(before);
    await rotate(NEW, OLD);
    await walk();
    for (const [at, id] of [queued, scheduled].entries()) {
      const { sealed, ...rest } = await world.task(id);
      const { sealed: old, ...restBefore } = before[at]!;
      expect(rest).toEqual(restBefore);
      expect(sealed.text).toBe(old.text);
      expect([checkSeal(old.text, old.seal, onlyNew), checkSeal(sealed.text, sealed.seal, onlyNew)]).toEqual([
        'unknown_key',
        'ok',
      ]);
    }
    expect(await world.lanes()).toEqual({ 'echo|default': 1 });
  });

  it('waits for the key to sign', async () => {
    const { world, keys, walk } = await anOwner();
    const id = await world.submit();
    keys.replace({ worker: null, generations: [NEW, OLD] });
    await walk();
    expect((await world.task(id)).sealed.seal).toMatch(/^root\./);
  });

  it('renews what a person may have run again, and spares what has completed', async () => {
    const { world, walk, rotate } = await anOwner();
    const cancelled = await world.submit();
    await world.give(cancelled, { type: 'cancel', reason: 'no longer needed' });
    await rotate(NEW, OLD);
    await walk();
    expect(await world.task(cancelled)).toMatchObject({ state: 'cancelled', version: 2 });
    expect((await world.task(cancelled)).sealed.seal).toMatch(/^next\./);
  });

  it('puts its seal only over what was rightly sealed', async () => {
    const { world, walk, rotate } = await anOwner();
    const forged = await world.submit();
    const { sealed } = await world.task(forged);
    const spec = `${sealed.seal} ${sealed.text.replace('"echo"', '"other"')}`;
    await world.tamper(forged, { spec });
    const strange = await world.submit();
    const stranger = seal((await world.task(strange)).sealed.text, keyRing([{ kid: 'gone', secret: 'x'.repeat(32) }]));
    await world.tamper(strange, { spec: `${stranger} ${(await world.task(strange)).sealed.text}` });
    await rotate(NEW, OLD);
    await walk();
    expect((await world.task(forged)).sealed.seal).toMatch(/^root\./);
    expect((await world.task(strange)).sealed.seal).toMatch(/^gone\./);
    expect(world.observed('seals.current').at(-1)).toMatchObject({ generation: 'next', renewed: 0, unknown: 1 });
  });

  it('tells once per key when nothing older is left, and again when something older turned up', async () => {
    const { world, walk, rotate } = await anOwner();
    for (let n = 0; n < 3; n++) await world.submit();
    await walk();
    await walk();
    expect(world.observed('seals.current')).toEqual([expect.objectContaining({ generation: 'root', renewed: 0 })]);
    await rotate(NEW, OLD);
    await walk();
    await walk();
    await walk();
    expect(world.observed('seals.current').slice(1)).toEqual([
      { type: 'seals.current', shard: 0, generation: 'next', renewed: 3, unknown: 0 },
    ]);
    // Another coordinator that has not read the new key yet.
    await world.submit();
    await walk();
    await walk();
    await walk();
    expect(world.observed('seals.current').slice(2)).toEqual([
      expect.objectContaining({ generation: 'next', renewed: 1 }),
    ]);
  });
});
