import { describe, expect, it } from 'vitest';
import { LimitKeeper } from '../../src/coordinator/limit-keeper.ts';
import { OwnershipLost } from '../../src/coordinator/owner-context.ts';
import { World } from './world.ts';

async function keeping(policy = {}) {
  const world = new World({ policy });
  const context = await world.own();
  return { world, context, keeper: new LimitKeeper(context) };
}

async function announce(world: World, ...cards: object[]): Promise<void> {
  await world.store.announce(
    cards.map((card) => ({ name: (card as { name: string }).name, card: JSON.stringify(card) })),
  );
}

describe('the limit keeper', () => {
  it('keeps the limits of the shard as the cards and the policy say, and writes them back when they are lost', async () => {
    const { world, keeper } = await keeping({ tenantConcurrency: 7 });
    await announce(world, { name: 'echo', concurrency: 2 }, { name: 'nap', concurrencyPerKey: 3 }, { name: 'free' });
    await keeper.tick();
    const right = { t: 7, 'a|echo': 2, 'k|nap': 3 };
    expect((await world.store.caps(0, 10)).limits).toEqual(right);
    await world.store.changeCaps(0, { do: 'set', limits: { 'a|echo': null, 'a|free': 1 }, version: 1 });
    await keeper.tick();
    expect((await world.store.caps(0, 10)).limits).toEqual(right);
    await announce(world, { name: 'echo' });
    await keeper.tick();
    expect((await world.store.caps(0, 10)).limits).toEqual({ t: 7, 'k|nap': 3 });
  });

  it('leaves out limits that are none', async () => {
    const { world, keeper } = await keeping();
    await announce(world, { name: 'echo', concurrency: 'many', concurrencyPerKey: 0 });
    await world.store.announce([{ name: 'broken', card: '{' }]);
    await keeper.tick();
    expect((await world.store.caps(0, 10)).limits).toEqual({});
  });

  it('learns that the shard has another owner', async () => {
    const { world, context, keeper } = await keeping({ tenantConcurrency: 1 });
    const usurper = new LimitKeeper({ ...context, epoch: '0.old' });
    await expect(usurper.tick()).rejects.toThrow(OwnershipLost);
    expect(context.fenced).toBe(1);
    await keeper.tick();
    expect((await world.store.caps(0, 10)).limits).toEqual({ t: 1 });
  });

  it('takes out of a cap what no record stands behind, when it has been there for a while, and nothing else', async () => {
    const { world, keeper } = await keeping();
    await announce(world, { name: 'echo', concurrency: 3 });
    await keeper.tick();
    const ended = await world.submit();
    await world.give(ended, { type: 'cancel', reason: 'x' } as never);
    const running = await world.worker().take(await world.submit());
    const other = await world.worker().take(await world.submit({ agent: 'other' }));
    const meddle = [ended, 'gone', other.task].map((member) => {
      return { do: 'add' as const, index: 'cap:a|echo' as const, member, score: 0 };
    });
    const { version, state } = await world.task(running.task);
    const unit = { id: running.task, expect: version, state, repair: true as const, indexes: meddle };
    await world.store.commit(0, { op: 'meddle', units: [unit] });
    await keeper.tick();
    await world.advance(5_000);
    await keeper.tick();
    await world.advance(5_000);
    await keeper.tick();
    expect(await world.members('cap:a|echo')).toEqual([running.task]);
  });
});
