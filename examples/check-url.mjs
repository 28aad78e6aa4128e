// An agent that talks to the outside: what to try again, what to give up, and how to end with the attempt.
// Run it:    AGENTS=examples/check-url.mjs npx agent-system --role all
// Submit to: npx agent-system submit check-url --input '{"url":"http://127.0.0.1:8001/health"}' --wait
import { defineAgent, RetryAfter, TerminalError } from 'agent-system';
import { z } from 'zod';

export default defineAgent({
  name: 'check-url',
  version: '1.0.0',
  description: 'Fetches an address and answers its status and how long it took.',
  input: z.object({ url: z.url({ protocol: /^https?$/ }) }),
  timeoutMs: 10_000,
  retry: { maxAttempts: 5, backoffMs: 500 },
  run: async ({ url }, ctx) => {
    const from = performance.now();
    // The signal ends the request when the task is cancelled or its time is over.
    const response = await fetch(url, { signal: ctx.signal });
    const body = await response.arrayBuffer();
    const ms = Math.round(performance.now() - from);
    ctx.log.info('Fetched', { url, status: response.status, ms });
    if (response.status === 429 || response.status === 503) {
      throw new RetryAfter(1_000 * (Number(response.headers.get('retry-after')) || 1), `${url} is busy`);
    }
    if (response.status === 404) throw new TerminalError(`${url} does not exist`, { code: 'not_found' });
    return { status: response.status, bytes: body.byteLength, ms };
  },
});
