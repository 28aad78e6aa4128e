// A small agent with a schema, progress and a clean end on cancel.
// Run it:    AGENTS=examples/word-count.mjs npx agent-system --role all
// Submit to: npx agent-system submit word-count --input '{"text":"to be or not to be"}' --wait
import { defineAgent } from 'agent-system';
import { z } from 'zod';

const CHUNK = 10_000;

export default defineAgent({
  name: 'word-count',
  version: '1.0.0',
  description: 'Counts the words of a text and names the commonest.',
  input: z.object({ text: z.string(), top: z.int().min(1).max(100).default(5) }),
  output: z.object({ words: z.int(), commonest: z.array(z.tuple([z.string(), z.int()])) }),
  timeoutMs: 30_000,
  run: async ({ text, top }, ctx) => {
    const words = text.toLowerCase().match(/[\p{L}\p{N}]+/gu) ?? [];
    const counts = new Map();
    for (let at = 0; at < words.length; at += CHUNK) {
      // A cancel, a timeout or a shutdown ends the work here.
      ctx.signal.throwIfAborted();
      for (const word of words.slice(at, at + CHUNK)) counts.set(word, (counts.get(word) ?? 0) + 1);
      ctx.progress((at + CHUNK) / words.length, `${counts.size} different words`);
      // Lets the process do its other work between two chunks.
      await new Promise((resolve) => setImmediate(resolve));
    }
    const commonest = [...counts].sort((a, b) => b[1] - a[1] || (a[0] < b[0] ? -1 : 1)).slice(0, top);
    return { words: words.length, commonest };
  },
});
