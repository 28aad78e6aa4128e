/*
 * What the journal of the embedded store costs: no-op tasks per second from submit to completed in one process, without
 * a journal and under each sync policy, with the bytes it wrote.
 *
 *   npm run build && node test/bench/run.mjs journal-cost [tasks]
 */
import { mkdtempSync, readdirSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import type { createSystem as CreateSystem } from '../../src/create-system.ts';
import { ROOT } from '../e2e/support/role-process.ts';

const BATCH = 500;
const tasks = Number(process.argv[2] ?? 20_000);
const { createSystem } = (await import(pathToFileURL(join(ROOT, 'dist/index.js')).href)) as {
  createSystem: typeof CreateSystem;
};

for (const sync of [null, 'no', 'everysec', 'always', null]) await measure(sync);
process.exit(0);

async function measure(sync: string | null): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), 'agent-system-bench-'));
  const settings: Record<string, string> = sync === null ? {} : { JOURNAL_FSYNC: sync };
  const system = await createSystem({ slots: 64, settings, ...(sync !== null && { dataDir: folder }) });
  const startedAt = performance.now();
  const cpuBefore = process.cpuUsage();
  const ids: string[] = [];
  for (let sent = 0; sent < tasks; sent += BATCH) {
    const requests = Array.from({ length: BATCH }, (_, n) => ({
      agent: 'echo',
      input: { n: sent + n, text: 'x'.repeat(200) },
    }));
    for (const one of await system.client.submitMany(requests)) if ('task' in one) ids.push(one.task.id);
  }
  const submittedMs = performance.now() - startedAt;
  for (const id of [ids.at(-1)!, ...ids.filter((_, n) => n % 1_000 === 0)]) await system.client.handle(id).result();
  const ms = performance.now() - startedAt;
  const { user, system: kernel } = process.cpuUsage(cpuBefore);
  const bytes = readdirSync(folder).reduce((sum, name) => sum + statSync(join(folder, name)).size, 0);
  await system.stop();
  rmSync(folder, { recursive: true });
  const rate = Math.round((tasks / ms) * 1_000);
  const cpu = Math.round((user + kernel) / tasks);
  console.log(
    `${(sync ?? 'no journal').padEnd(10)} ${rate} tasks/s, submitted in ${Math.round(submittedMs)} ms, ${cpu} µs CPU per task, ${Math.round(bytes / 1e6)} MB`,
  );
}
