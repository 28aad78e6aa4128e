// The submitting process of a measurement: told by a message how many tasks to submit, it answers when all were taken.
const { createClient } = await import(`${process.env.BENCH_ROOT}/dist/index.js`);

const BATCH = 500;
const AT_ONCE = 4;
const client = createClient({ url: process.env.BENCH_URL });
const request = { agent: 'echo', input: { text: 'x'.repeat(Number(process.env.BENCH_BYTES)) } };

async function submit(count) {
  let left = count;
  const lane = async () => {
    while (left > 0) {
      const size = Math.min(BATCH, left);
      left -= size;
      const replies = await client.submitMany(Array.from({ length: size }, () => request));
      const refused = replies.find((reply) => reply instanceof Error);
      if (refused) throw refused;
    }
  };
  await Promise.all(Array.from({ length: AT_ONCE }, lane));
}

process.on('message', async (count) => {
  await submit(count);
  process.send('submitted');
});
process.send('ready');
