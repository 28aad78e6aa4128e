/** A message taken by a worker or a distributor, on its way to a task: signed there, made a task by the shard's owner. */
import { describe, expect, it } from 'vitest';
import { ReportReader } from '../../src/coordinator/report-reader.ts';
import { signEnvelope } from '../../src/message/envelope.ts';
import { type Principal, workerPrincipal } from '../../src/message/principals.ts';
import { AdmitService } from '../../src/service/admit-service.ts';
import { AgentCatalog } from '../../src/service/agent-catalog.ts';
import { OPERATOR } from '../../src/service/caller.ts';
import { ForwardingSender } from '../../src/service/send-forward.ts';
import { TaskIds } from '../../src/task/id.ts';
import { ServiceWorld } from './world.ts';

const message = { sender: 'billing', message_type: 'request', content: { action: 'echo', text: 'hi' } };

async function sending(principal: Principal = workerPrincipal('w1')) {
  const world = await new ServiceWorld().announce();
  const { store, keys, clock, runtime, policy, observe } = world;
  const ports = { store, keys, clock, runtime, policy, observe };
  const catalog = new AgentCatalog(store, runtime);
  const sender = new ForwardingSender({ ...ports, catalog, principal, id: 'w1' });
  const admit = new AdmitService({ ...ports, catalog });
  const context = await world.own();
  const reader = new ReportReader({ ...context, admit: (submit) => admit.admit(submit) });
  const read = async () => {
    void reader.run();
    await world.advance(10);
  };
  const append = async (body: object, from = principal) => {
    const head = { jti: runtime.id(20), type: 'task.submit' as const, from, to: 'coordinators' as const };
    const where = { stream: '0/reports', deployment: policy.deployment, now: clock.now() };
    const envelope = signEnvelope({ ...head, ...where, body: body as never }, keys);
    await store.report(0, { worker: 'w1', incarnation: 'send', envelope, hint: null });
  };
  return { world, sender, context, read, append, ids: new TaskIds(0, runtime.id) };
}

describe('a message sent to a process without tasks', () => {
  it.each(['distributors', 'worker:w1'] as const)('becomes a task at its owner, sent by %s', async (principal) => {
    const { world, sender, context, read } = await sending(principal);
    const accepted = await world.call(sender.send({ ...message, correlation_id: 'c1' }, OPERATOR));
    expect(accepted).toEqual({ status: 'accepted', message_id: expect.any(String) });
    expect(await world.find(accepted.message_id)).toBeNull();
    await read();
    const task = await world.task(accepted.message_id);
    expect(task).toMatchObject({ state: 'queued', version: 1, input: '{"text":"hi"}' });
    expect(task.spec).toMatchObject({
      agent: 'echo',
      correlationId: 'c1',
      tenant: 'default',
      metadata: { sender: 'billing', messageType: 'request' },
    });
    expect(context.committed.map(({ id }) => id)).toEqual([accepted.message_id]);
    expect(await world.quarantined()).toEqual([]);
  });

  it('becomes one task, however often its envelope is read', async () => {
    const { world, sender, context, read } = await sending();
    const { message_id } = await world.call(sender.send(message, OPERATOR));
    const [batch] = await world.store.readStreams(0, {
      from: [{ stream: 'reports', after: '0' }],
      count: 1,
      waitMs: 0,
    });
    const envelope = batch!.entries[0]!.fields.e!;
    for (let n = 0; n < 3; n++) {
      await world.store.report(0, { worker: 'w1', incarnation: 'send', envelope, hint: null });
    }
    await read();
    await world.store.report(0, { worker: 'w1', incarnation: 'send', envelope, hint: null });
    await world.advance(2_000);
    expect((await world.task(message_id)).version).toBe(1);
    expect(context.committed).toHaveLength(1);
    expect(await world.store.reportCursor(0)).not.toBe('0-0');
    expect((await world.store.lastEntry(0, 'reports')).id).toBe('0-0');
  });

  it('is told at once when no agent takes it', async () => {
    const { world, sender } = await sending();
    const send = (body: object) => world.call(sender.send(body, OPERATOR));
    await expect(send({ ...message, content: { action: 'nobody' } })).rejects.toMatchObject({ code: 'BAD_REQUEST' });
    await expect(send({ ...message, content: { action: 'echo', text: 5 } })).rejects.toMatchObject({
      code: 'BAD_REQUEST',
    });
    const tenant = { name: 'k', tenant: 'ours', scopes: new Set(['tasks:write'] as const) };
    await expect(world.call(sender.send(message, tenant))).rejects.toMatchObject({ code: 'FORBIDDEN' });
    expect((await world.store.lastEntry(0, 'reports')).id).toBe('0-0');
  });

  it.each([
    ['for an agent that is none', { agent: 'nobody' }, 'no worker ever registered'],
    ['with an input that does not fit', { input: '{"text":5}' }, 'input.text'],
    ['with an input that is not JSON', { input: '{' }, 'not JSON'],
    ['under an id that is none', { task: 'x' }, 'no id of a task'],
  ])('is put aside by the owner %s, and holds nothing up', async (_, over, reason) => {
    const { world, read, append, ids } = await sending();
    const body = { agent: 'echo', input: '{}', sender: 's', messageType: 'm' };
    await append({ ...body, task: ids.next(world.now()), ...over });
    const good = ids.next(world.now());
    await append({ ...body, task: good });
    await read();
    expect(await world.state(good)).toBe('queued');
    expect(await world.quarantined()).toMatchObject([{ stream: 'reports', reason: expect.stringContaining(reason) }]);
    expect(world.observed('message.rejected')).toMatchObject([{ reason: 'submit' }]);
  });

  it('cannot take the place of a task that is there, readable or not', async () => {
    const { world, read, append } = await sending();
    const [whole, broken] = [await world.submit(), await world.submit()];
    await world.tamper(broken, { trail: '{' });
    for (const task of [whole, broken]) {
      await append({ agent: 'slow', input: '{}', sender: 's', messageType: 'm', task });
    }
    await read();
    expect((await world.task(whole)).spec.agent).toBe('echo');
    await world.advance(2_000);
    expect((await world.store.lastEntry(0, 'reports')).id).toBe('0-0');
  });
});
