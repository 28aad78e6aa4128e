import { describe, expect, it } from 'vitest';
import type { HeartbeatBody } from '../../src/message/bodies.ts';
import { AgentCatalog } from '../../src/service/agent-catalog.ts';
import { ClusterService } from '../../src/service/cluster-service.ts';
import { aHeartbeatBody } from '../message/builders.ts';
import { ServiceWorld } from './world.ts';

async function cluster(offer: Partial<HeartbeatBody> = {}) {
  const world = await new ServiceWorld({ policy: { shards: 2 } }).announce();
  const { store, runtime, policy } = world;
  const loads = [
    { heartbeat: aHeartbeatBody({ worker: 'w2', slots: 1, started: ['a~1'] }), at: world.now() },
    {
      heartbeat: aHeartbeatBody({ ...offer, worker: 'w1', slots: 2, started: ['a~1'], unstarted: ['b~1'] }),
      at: world.now(),
    },
    { heartbeat: aHeartbeatBody({ worker: 'w3', ready: false }), at: world.now() },
    { heartbeat: aHeartbeatBody({ worker: 'w4', draining: true }), at: world.now() },
    { heartbeat: aHeartbeatBody({ worker: 'w5' }), at: world.now() - policy.instanceTtlMs - 1 },
  ];
  const catalog = new AgentCatalog(store, runtime);
  const heartbeats = async () => ({ now: world.now(), loads });
  return { world, service: new ClusterService({ store, runtime, policy, catalog, heartbeats }) };
}

describe('the service for what the system consists of', () => {
  it('shows workers by what their last heartbeat said', async () => {
    const { service } = await cluster();
    const workers = await service.workers();
    expect(workers.map(({ id, state, slots, running, waiting }) => [id, state, slots, running, waiting])).toEqual([
      ['w1', 'ready', 2, 1, 1],
      ['w2', 'busy', 1, 1, 0],
      ['w3', 'not_ready', 4, 1, 0],
      ['w4', 'draining', 4, 1, 0],
      ['w5', 'lost', 4, 1, 0],
    ]);
  });

  it('shows what workers offer, and what of it is in use', async () => {
    const { service } = await cluster({ labels: { zone: 'eu' }, resources: { gpu: 2 }, used: { gpu: 1 } });
    const [first, second] = await service.workers();
    expect(first).toMatchObject({ labels: { zone: 'eu' }, resources: { gpu: 2 }, used: { gpu: 1 } });
    expect(second).toMatchObject({ id: 'w2', used: {} });
  });

  it('adds up queues over lanes and shards, and names those of agents without a waiting task', async () => {
    const { world, service } = await cluster();
    await world.post({ tenant: 'a' });
    await world.post({ tenant: 'b' });
    await world.post({ tenant: 'b', priority: 'urgent' });
    await service.pause('slow');
    expect(await service.queues()).toEqual([
      { agent: 'echo', pending: 3, urgent: 1, lanes: 3, paused: false },
      { agent: 'slow', pending: 0, urgent: 0, lanes: 0, paused: true },
    ]);
    await service.resume('slow');
    expect((await service.queues()).some(({ paused }) => paused)).toBe(false);
  });

  it('names the owners of the shards', async () => {
    const { world, service } = await cluster();
    const { epoch } = await world.own(1);
    expect(await service.owners()).toMatchObject([{ shard: 1, instance: 'c1', epoch }]);
  });
});
