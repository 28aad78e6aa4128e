import { describe, expect, it } from 'vitest';
import { TASKS_SHOWN_MAX } from '../../src/message/describe.ts';
import { LINES_PER_SECOND } from '../../src/observability/line-limit.ts';
import { createLogger } from '../../src/observability/logger.ts';
import { createMetrics } from '../../src/observability/metrics.ts';
import { createObserver, HANDLER_LINES_PER_SECOND } from '../../src/observability/observe.ts';
import type { Observation } from '../../src/runtime/observer.ts';
import { createVirtualRuntime } from '../../src/runtime/virtual-runtime.ts';

function observing(level: 'debug' | 'info' = 'debug') {
  const lines: { level: string; msg: string; [field: string]: unknown }[] = [];
  const destination = { write: (line: string) => void lines.push(JSON.parse(line)) };
  const runtime = createVirtualRuntime(1);
  const metrics = createMetrics({ redis: true, runtime });
  const logger = createLogger({ level, file: null, format: 'json', destination });
  const observe = createObserver({ logger, metrics, runtime });
  const counted = async (start: string) => {
    const { text } = await metrics.render();
    return text.split('\n').filter((line) => line.startsWith(start));
  };
  return { observe, lines, runtime, counted };
}

const moved = (event: string, state: string, facts?: object): Observation => ({
  type: 'task.moved',
  event,
  id: 't1',
  agent: 'echo',
  state,
  at: 1,
  facts,
});

describe('the log', () => {
  it.each<[string, string, Observation]>([
    ['Message sent', 'debug', { type: 'message.sent', message: 'task.assign', count: 3 }],
    ['Message received', 'debug', { type: 'message.received', message: 'task.report', count: 1, latencyMs: 2 }],
    ['Message signature verification failed', 'warn', rejected('signature')],
    ['Message rejected', 'warn', rejected('expired')],
    ['Transaction failed due to state conflict', 'warn', { type: 'state.conflict', id: 't1', where: 'report' }],
    ['Lease acquisition timeout', 'debug', waiting({})],
    ['Lease acquisition timeout', 'info', waiting({ due: true })],
    ['Lease acquisition timeout', 'warn', waiting({ due: true, reason: 'Redis is away' })],
    ['Lease acquisition timeout', 'debug', waiting({ reason: 'Redis is away' })],
    ['Lease renewed', 'debug', { type: 'lease.renewed', shard: 0, tookMs: 1, released: 0 }],
    ['Retry', 'debug', { type: 'store.retry', what: 'commit', tried: 1, waitMs: 40, reason: 'away' }],
    ['Redis connection failed', 'warn', { type: 'store.away', where: 'reports', message: 'ECONNREFUSED' }],
    ['Redis connection restored', 'info', { type: 'store.back', where: 'reports', message: 'again' }],
    ['Task assigned', 'debug', moved('task.assigned', 'assigned')],
    ['Task completed', 'debug', moved('task.completed', 'completed')],
    ['Task failed', 'warn', moved('task.failed', 'failed', { code: 'timeout' })],
    ['Shard ownership lost', 'warn', { type: 'leader.lost', shard: 0, epoch: '1-a', why: 'fenced' }],
    ['No distributor found', 'info', { type: 'distributor.changed', distributor: null }],
    ['Unexpected error', 'error', { type: 'fault', where: 'the loop', error: new Error('broken') }],
  ])('says "%s" at %s', (sentence, level, observation) => {
    const { observe, lines } = observing();
    observe(observation);
    expect(lines).toMatchObject([{ level, msg: sentence }]);
  });

  it('gives the facts in fields', () => {
    const { observe, lines } = observing();
    observe(moved('task.failed', 'failed', { code: 'timeout', worker: 'w1' }));
    observe({ type: 'fault', where: 'the loop', error: new Error('broken') });
    expect(lines).toMatchObject([
      { task: 't1', agent: 'echo', state: 'failed', code: 'timeout', worker: 'w1' },
      { where: 'the loop', err: { message: 'broken', stack: expect.stringContaining('broken') } },
    ]);
  });

  it('keeps what a handler logs whole, whatever its fields are called', () => {
    const { observe, lines } = observing('info');
    const log = { type: 'attempt.log', task: 't1', attempt: 2, attemptId: 'a1', agent: 'echo' } as const;
    observe({ ...log, level: 'info', message: 'hello', fields: { level: 9, msg: 'mine' } });
    observe({ ...log, level: 'debug', message: 'hidden', fields: undefined });
    expect(lines).toMatchObject([
      { level: 'info', msg: 'hello', task: 't1', attempt: 2, attemptId: 'a1', fields: { level: 9, msg: 'mine' } },
    ]);
  });

  it('shows where a handler broke', () => {
    const { observe, lines } = observing('info');
    const log = { type: 'attempt.log', task: 't1', attempt: 2, attemptId: 'a1', agent: 'echo' } as const;
    observe({ ...log, level: 'warn', message: 'The handler threw', fields: undefined, stack: 'Error: x\n    at y' });
    expect(lines).toMatchObject([{ level: 'warn', msg: 'The handler threw', err: { stack: 'Error: x\n    at y' } }]);
  });

  it('bounds what the handlers of one agent log in a second, and leaves the others alone', async () => {
    const { observe, lines, runtime } = observing('info');
    const says = (agent: string, message: string, level: 'debug' | 'info' = 'info') =>
      observe({ type: 'attempt.log', task: 't1', attempt: 1, attemptId: 'a1', agent, level, message, fields: {} });
    for (let i = 0; i < 250; i++) says('chatty', `line ${i}`);
    for (let i = 0; i < 250; i++) says('quiet', 'not logged at this level', 'debug');
    says('quiet', 'one');
    expect(lines).toHaveLength(HANDLER_LINES_PER_SECOND + 1);
    expect(lines.at(-1)).toMatchObject({ agent: 'quiet', msg: 'one' });
    expect(lines.at(-1)).not.toHaveProperty('suppressed');
    await runtime.advance(1_000);
    says('chatty', 'again');
    expect(lines.at(-1)).toMatchObject({ msg: 'again', suppressed: 250 - HANDLER_LINES_PER_SECOND });
  });

  it('says of a message who sent it to whom, where, under which id and about which tasks, and nothing it carries', () => {
    const { observe, lines } = observing();
    const secret = 'what the task is about';
    const assignments = Array.from({ length: 30 }, (_, i) => ({ task: `t${i}`, input: secret }));
    const claims = { jti: 'j1', iss: 'distributors', aud: 'worker:w1@1', str: '0:mail:w1@1', body: { assignments } };
    const envelope = `head.${Buffer.from(JSON.stringify(claims)).toString('base64url')}.mac`;
    observe({ type: 'message.received', message: 'task.assign', count: 30, latencyMs: 3, envelope });
    expect(lines).toMatchObject([
      {
        msg: 'Message received',
        type: 'task.assign',
        sender: 'distributors',
        receiver: 'worker:w1@1',
        stream: '0:mail:w1@1',
        jti: 'j1',
        count: 30,
        latencyMs: 3,
      },
    ]);
    expect(lines[0]!.tasks).toHaveLength(TASKS_SHOWN_MAX);
    expect(JSON.stringify(lines)).not.toMatch(new RegExp(`${secret}|envelope|${envelope.split('.')[1]}`));
  });

  it('says of a transition from where to where, and of a retry when', () => {
    const { observe, lines } = observing();
    const facts = { worker: 'w1', code: 'handler_error', dueAt: 5_000 };
    const move = { type: 'task.moved', id: 't1', agent: 'echo', at: 4_000 } as const;
    observe({ ...move, event: 'task.retried', from: 'running', state: 'scheduled', version: 7, attempt: 1, facts });
    expect(lines).toMatchObject([
      { msg: 'Task retried', task: 't1', from: 'running', state: 'scheduled', version: 7, attempt: 1, waitMs: 1_000 },
    ]);
    expect(lines[0]).toMatchObject({ worker: 'w1', code: 'handler_error' });
  });

  it('says of a command which shard it went to, and never its arguments', () => {
    const { observe, lines } = observing();
    const done = { type: 'store.command', address: '127.0.0.1:6379', ms: 0.4, code: null, waits: false } as const;
    observe({ ...done, command: 'commit', place: '{as:3}:' });
    observe({ ...done, command: 'get', place: '{as:0}:u:a-customer', code: 'OOM' });
    observe({ ...done, command: 'config', place: 'requirepass' });
    expect(lines).toMatchObject([{ command: 'commit', place: '{as:3}' }, { place: '{as:0}', code: 'OOM' }, {}]);
    expect(JSON.stringify(lines)).not.toMatch(/customer|requirepass/);
  });

  it('makes nothing of what it does not write', () => {
    const { observe } = observing('info');
    const untouched = new Proxy({} as Record<string, string>, {
      get: (_, name) => {
        if (name === 'type') return 'message.sent';
        if (name === 'message') return 'task.assign';
        if (name === 'count') return 1;
        throw new Error(`${String(name)} was looked at`);
      },
    });
    expect(() => observe(untouched as unknown as Observation)).not.toThrow();
  });

  it('writes so many lines of one sentence in a second, and then how many it left out', async () => {
    const { observe, lines, runtime } = observing();
    for (let i = 0; i < 1_000; i++) observe({ type: 'state.conflict', id: `t${i}`, where: 'assign' });
    observe(moved('task.failed', 'failed'));
    expect(lines).toHaveLength(LINES_PER_SECOND + 1);
    await runtime.advance(1_000);
    observe({ type: 'state.conflict', id: 'last', where: 'assign' });
    observe({ type: 'state.conflict', id: 'really', where: 'assign' });
    expect(lines.slice(-2)).toMatchObject([{ id: 'last', suppressed: 1_000 - LINES_PER_SECOND }, { id: 'really' }]);
    expect(lines.at(-1)).not.toHaveProperty('suppressed');
  });
});

describe('the metrics', () => {
  it('count what is not logged too', async () => {
    const { observe, lines, counted } = observing('info');
    observe({ type: 'message.sent', message: 'task.assign', count: 3 });
    observe({ type: 'message.received', message: 'task.report', count: 2, latencyMs: 4 });
    for (let i = 0; i < 50; i++) observe({ type: 'state.conflict', id: 't1', where: 'report' });
    expect(await counted('agent_messages_total')).toEqual([
      'agent_messages_total{type="task.assign",direction="sent"} 3',
      'agent_messages_total{type="task.report",direction="received"} 2',
    ]);
    expect(await counted('agent_message_latency_seconds_sum')).toEqual(['agent_message_latency_seconds_sum 0.004']);
    expect(await counted('agent_state_conflicts_total')).toEqual(['agent_state_conflicts_total 50']);
    expect(lines).toHaveLength(LINES_PER_SECOND);
  });

  it('count each attempt and its times once, however many events tell of it', async () => {
    const { observe, counted } = observing();
    const facts = { queueWaitMs: 2_000, worker: 'w1' };
    observe(moved('task.started', 'running', facts));
    observe(moved('task.progress', 'running', facts));
    observe(moved('task.retried', 'scheduled', { ...facts, code: 'handler_error' }));
    observe(moved('task.queued', 'queued', { ...facts, code: 'handler_error' }));
    observe(moved('task.started', 'running', { queueWaitMs: 500 }));
    observe(moved('task.completed', 'completed', { queueWaitMs: 500, runMs: 250 }));
    expect(await counted('agent_tasks_total')).toEqual([
      'agent_tasks_total{agent="echo",state="running"} 2',
      'agent_tasks_total{agent="echo",state="scheduled"} 1',
      'agent_tasks_total{agent="echo",state="queued"} 1',
      'agent_tasks_total{agent="echo",state="completed"} 1',
    ]);
    expect(await counted('task_queue_wait_seconds_sum')).toEqual(['task_queue_wait_seconds_sum{agent="echo"} 2.5']);
    expect(await counted('task_duration_seconds_sum')).toEqual(['task_duration_seconds_sum{agent="echo"} 0.25']);
    expect(await counted('agent_failures_total')).toEqual(['agent_failures_total{reason="handler_error"} 1']);
    expect(await counted('agent_retries_total')).toEqual(['agent_retries_total 1']);
  });

  it('count refused messages by reason, and leases', async () => {
    const { observe, counted } = observing();
    observe(rejected('signature'));
    observe({ type: 'lease.expired', worker: 'w1', incarnation: '1-a', attempts: 2 });
    expect(await counted('agent_messages_rejected_total')).toEqual([
      'agent_messages_rejected_total{reason="signature"} 1',
    ]);
    expect(await counted('agent_leases_expired_total')).toEqual(['agent_leases_expired_total 1']);
  });
});

function waiting(over: { due?: boolean; reason?: string }): Observation {
  return { type: 'leader.waiting', shard: 0, tried: 1, waitedMs: 0, due: false, ...over };
}

function rejected(reason: string): Observation {
  return { type: 'message.rejected', reason, detail: 'bad', stream: 'reports', entry: '1-0' };
}
