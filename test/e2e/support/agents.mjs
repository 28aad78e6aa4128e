// Agents that leave a trace on disk of everything they do, so that tests see executions and not only what was accepted.

import { randomUUID } from 'node:crypto';
import { appendFileSync } from 'node:fs';

const file = process.env.E2E_TRACE;

function trace(event, ctx, run) {
  const line = { event, task: ctx.taskId, attempt: ctx.attempt, run, pid: process.pid, at: Date.now() };
  appendFileSync(file, `${JSON.stringify(line)}\n`);
}

function asleep(ms, signal) {
  return new Promise((resolve) => {
    const timer = setTimeout(resolve, ms);
    signal.addEventListener('abort', () => {
      clearTimeout(timer);
      resolve();
    });
  });
}

async function traced(ctx, work) {
  const run = randomUUID();
  trace('began', ctx, run);
  await work();
  trace('ended', ctx, run);
  return { run, pid: process.pid };
}

/** Works for `ms`, and stops early when told to. */
export const mark = {
  name: 'mark',
  run: ({ ms = 0 }, ctx) =>
    traced(ctx, async () => {
      await asleep(ms, ctx.signal);
      ctx.signal.throwIfAborted();
    }),
};

/** Works for `ms` whatever it is told. */
export const deaf = {
  name: 'deaf',
  run: ({ ms = 0 }, ctx) => traced(ctx, () => new Promise((resolve) => setTimeout(resolve, ms))),
};

/** Holds the event loop for `ms`. */
export const hog = {
  name: 'hog',
  run: ({ ms }, ctx) =>
    traced(ctx, () => {
      const until = Date.now() + ms;
      while (Date.now() < until);
    }),
};

/** Works until it is told to stop and then needs `ms` to do so; with `insist` it gives a result all the same. */
export const endless = {
  name: 'endless',
  run: async ({ ms = 0, insist = false }, ctx) => {
    const run = randomUUID();
    trace('began', ctx, run);
    await asleep(600_000, ctx.signal);
    trace('told', ctx, run);
    await new Promise((resolve) => setTimeout(resolve, ms));
    trace('ended', ctx, run);
    if (!insist) ctx.signal.throwIfAborted();
    return { run };
  },
};
