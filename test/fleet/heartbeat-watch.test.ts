import { describe, expect, it } from 'vitest';
import { HeartbeatWatch } from '../../src/fleet/heartbeat-watch.ts';
import type { Heartbeat, Store } from '../../src/store/store.ts';
import { World } from '../coordinator/world.ts';

/** A store in which someone with access and no key can put any lease entry in place of the true one. */
function watching(reader: 'coordinators' | 'distributors' = 'coordinators') {
  const forged: { beats: Heartbeat[] | null } = { beats: null };
  const through = (store: Store): Store =>
    new Proxy(store, {
      get(target, name) {
        const value = Reflect.get(target, name, target);
        if (name !== 'heartbeats') return typeof value === 'function' ? value.bind(target) : value;
        return async (shard: number, since: number) => {
          const reply = await target.heartbeats(shard, since);
          return forged.beats ? { ...reply, beats: forged.beats } : reply;
        };
      },
    });
  const world = new World({ through });
  const { store, keys, clock, observe, policy } = world;
  const { deployment, instanceTtlMs } = policy;
  const watch = new HeartbeatWatch({ store, keys, clock, observe, shard: 0, reader, deployment, instanceTtlMs });
  const genuine = async () => (await store.heartbeats(0, 0)).beats;
  return { world, watch, forged, genuine };
}

describe('the watch over heartbeats', () => {
  it.each(['coordinators', 'distributors'] as const)('hears each heartbeat once, as %s', async (reader) => {
    const { world, watch } = watching(reader);
    const worker = await world.worker().enlist();
    await worker.beat({ slots: 7 });
    const { fresh } = await watch.look();
    expect(fresh).toMatchObject([{ heartbeat: { worker: 'w1', slots: 7 }, at: world.now() }]);
    expect((await watch.look()).fresh).toEqual([]);
    await world.advance(5_000);
    await worker.beat();
    expect((await watch.look()).fresh).toMatchObject([{ predecessor: null }]);
    expect(watch.get('w1')!.at).toBe(world.now());
  });

  it('takes a forged heartbeat for none, tells of it once, and keeps it for people', async () => {
    const { world, watch, forged, genuine } = watching();
    await (await world.worker().enlist()).beat();
    const [beat] = await genuine();
    forged.beats = [{ ...beat!, toCoordinators: `${beat!.toCoordinators.slice(0, -2)}xx` }];
    expect((await watch.look()).fresh).toEqual([]);
    expect((await watch.look()).fresh).toEqual([]);
    expect(watch.get('w1')).toBeUndefined();
    expect(world.observed('message.rejected')).toMatchObject([{ reason: 'signature', stream: 'lease:w1' }]);
    expect(await world.quarantined()).toMatchObject([{ stream: 'lease:w1', reason: 'signature' }]);
  });

  it('goes on hearing the others when an entry pretends to come from the future', async () => {
    const { world, watch, forged, genuine } = watching();
    const worker = await world.worker().enlist();
    await worker.beat();
    const [beat] = await genuine();
    forged.beats = [{ ...beat!, worker: 'evil', at: world.now() + 1e9, entry: `${world.now() + 1e9}-0` }];
    expect((await watch.look()).fresh).toEqual([]);
    forged.beats = null;
    await world.advance(5_000);
    await worker.beat();
    expect((await watch.look()).fresh).toMatchObject([{ heartbeat: { worker: 'w1' } }]);
  });

  it('refuses the heartbeat of one worker under the name of another', async () => {
    const { world, watch, forged, genuine } = watching();
    await (await world.worker().enlist()).beat();
    const [beat] = await genuine();
    forged.beats = [{ ...beat!, worker: 'w2' }];
    expect((await watch.look()).fresh).toEqual([]);
    expect(world.observed('message.rejected')).toMatchObject([{ reason: 'stream' }]);
  });

  it('refuses a genuine heartbeat put back under a newer entry: it renews nothing', async () => {
    const { world, watch, forged, genuine } = watching();
    await (await world.worker().enlist()).beat();
    await watch.look();
    const [beat] = await genuine();
    const { at } = beat!;
    await world.advance(20_000);
    forged.beats = [{ ...beat!, entry: `${world.now()}-0`, at: world.now() }];
    expect((await watch.look()).fresh).toEqual([]);
    expect(watch.get('w1')!.at).toBe(at);
    expect(world.observed('message.rejected')).toMatchObject([{ reason: 'replay' }]);
  });

  it('refuses one of a life that was already replaced', async () => {
    const { world, watch, forged, genuine } = watching();
    await (await world.worker().enlist()).beat();
    const [old] = await genuine();
    await world.advance(1_000);
    const successor = await world.worker().enlist();
    await successor.beat();
    await watch.look();
    await world.advance(1_000);
    forged.beats = [{ ...old!, entry: `${world.now()}-0`, at: world.now() }];
    expect((await watch.look()).fresh).toEqual([]);
    expect(watch.get('w1')!.heartbeat.incarnation).toBe(successor.incarnation);
    expect(world.observed('message.rejected')).toMatchObject([
      { reason: 'replay', detail: 'of an earlier incarnation' },
    ]);
  });

  it('forgets a worker that has been silent for very long', async () => {
    const { world, watch } = watching();
    await (await world.worker().enlist()).beat();
    await watch.look();
    await world.advance(world.policy.instanceTtlMs * 20 + 1);
    await watch.look();
    expect([...watch.all()]).toEqual([]);
  });
});
