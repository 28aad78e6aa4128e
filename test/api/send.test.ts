import { expect, it } from 'vitest';
import { call } from './builders.ts';
import { describeOnStores } from './stores.ts';

const message = { sender: 'billing', message_type: 'request', content: { action: 'echo', text: 'hi' } };

describeOnStores('POST /send', (open) => {
  it('makes a task of a message, under whose id it can be found', async () => {
    const api = await open();
    const { status, body } = await call(api, 'POST', '/send', { body: { ...message, correlation_id: 'c1' } });
    expect(status).toBe(202);
    expect(body).toEqual({ status: 'accepted', message_id: expect.any(String) });
    const { body: task } = await call(api, 'GET', `/v1/tasks/${body.message_id}`);
    expect(task).toMatchObject({
      agent: 'echo',
      method: 'run',
      input: { text: 'hi' },
      correlationId: 'c1',
      state: 'queued',
    });
    expect(task.metadata).toEqual({ sender: 'billing', messageType: 'request' });
  });

  it.each([
    ['an agent', 'summarise', 'summarise', 'run'],
    ['an agent and a method', 'echo.shout', 'echo', 'shout'],
    ['a method that one agent has', 'shout', 'echo', 'shout'],
  ])('takes as the action %s', async (_, action, agent, method) => {
    const api = await open();
    const { body } = await call(api, 'POST', '/send', { body: { ...message, content: { action } } });
    const { body: task } = await call(api, 'GET', `/v1/tasks/${body.message_id}`);
    expect(task).toMatchObject({ agent, method, input: {} });
  });

  it.each([
    ['an action that nobody takes', { ...message, content: { action: 'ehco' } }, 'did you mean echo?'],
    ['an action that several take', { ...message, content: { action: 'run' } }, 'echo.run or summarise.run'],
    ['no action', { ...message, content: {} }, 'content.action'],
    ['an input that does not fit', { ...message, content: { action: 'echo', text: 5 } }, 'input.text'],
    ['no sender', { ...message, sender: undefined }, 'sender'],
    ['a field that is none', { ...message, reply_to: 'x' }, 'reply_to'],
    ['a type of the system in its place', { type: 'task.report', body: {} }, 'sender'],
  ])('refuses %s', async (_, body, found) => {
    const answer = await call(await open(), 'POST', '/send', { body });
    expect(answer.status).toBe(400);
    expect(answer.body.error).toMatchObject({ code: 'BAD_REQUEST', message: expect.stringContaining(found) });
  });

  it('refuses an empty body', async () => {
    expect((await call(await open(), 'POST', '/send')).status).toBe(400);
  });
});
