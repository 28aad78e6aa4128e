import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { aServedSystem, type ServedSystem } from '../client/builders.ts';
import { cli, type Terminal } from './builders.ts';

let system: ServedSystem;
let folder: string;
beforeAll(async () => {
  system = await aServedSystem();
  folder = await mkdtemp(join(tmpdir(), 'cli-submit-'));
});
afterAll(async () => {
  await system.close();
  await rm(folder, { recursive: true, force: true });
});

const run = (args: string[], terminal: Partial<Terminal> = {}) =>
  cli(['submit', ...args], { url: system.url, cwd: folder, ...terminal });

/** Ends the next task of this tenant as soon as it is there. */
async function finishOf(tenant: string, outcome: Parameters<ServedSystem['finish']>[1] | 'cancel'): Promise<string> {
  for (;;) {
    const [task] = (await system.tasks.list({ tenant })).tasks;
    if (task === undefined) await new Promise((resolve) => setImmediate(resolve));
    else if (outcome === 'cancel') return (await system.tasks.cancel(task.id, 'no need')).id;
    else return system.finish(task.id, outcome).then(() => task.id);
  }
}

describe('submit', () => {
  it('prints the id alone, for people and scripts alike', async () => {
    const { code, out, err } = await run(['echo', '--input', '{"text":"hi"}']);
    expect({ code, err }).toEqual({ code: 0, err: '' });
    expect(await system.tasks.get(out.trim())).toMatchObject({ agent: 'echo', input: { text: 'hi' }, state: 'queued' });
  });

  it('gives every flag to the system', async () => {
    const flags = '--method shout --priority urgent --key k --tenant t --delay 1h --timeout 5m --correlation c';
    const { out } = await run(['echo', ...flags.split(' '), '--label', 'a=1', '--label', 'b=2', '-o', 'json']);
    const task = JSON.parse(out);
    expect(task).toMatchObject({
      method: 'shout',
      priority: 10,
      key: 'k',
      tenant: 't',
      state: 'scheduled',
      timeoutMs: 300_000,
      correlationId: 'c',
      labels: { a: '1', b: '2' },
      input: {},
    });
    expect(Date.parse(task.runAt) - Date.parse(task.createdAt)).toBe(3_600_000);
  });

  it('reads the input from a file and from stdin', async () => {
    await writeFile(join(folder, 'in.json'), '\ufeff{"text":"file"}\n');
    const fromFile = await run(['echo', '--input', '@in.json', '-o', 'ndjson']);
    const fromStdin = await run(['echo', '--input', '-', '-o', 'ndjson'], { stdin: '{"text":"stdin"}' });
    const inputs = [fromFile, fromStdin].map(({ out }) => JSON.parse(out).input);
    expect(inputs).toEqual([{ text: 'file' }, { text: 'stdin' }]);
  });

  it('is refused by the system with its reasons', async () => {
    const unknown = await run(['echos', '--input', '{}']);
    expect(unknown).toMatchObject({ code: 1, out: '', err: expect.stringContaining('did you mean echo?') });
    const wrong = await run(['echo', '--input', '{"text":1}']);
    expect(wrong).toMatchObject({ code: 1, out: '', err: expect.stringContaining('input.text') });
  });
});

describe('submit --wait', () => {
  it('prints the result and nothing else', async () => {
    const [{ code, out, err }] = await Promise.all([
      run(['--wait', 'echo', '--tenant', 'w1']),
      finishOf('w1', { result: { loud: 'HI' } }),
    ]);
    expect({ code, err }).toEqual({ code: 0, err: '' });
    expect(JSON.parse(out)).toEqual({ loud: 'HI' });
  });

  it('exits 1 when the task failed, and says with what', async () => {
    const error = { code: 'out_of_paper', message: 'the printer is empty', retryable: false };
    const [ran, id] = await Promise.all([run(['echo', '--wait', '--tenant', 'w2']), finishOf('w2', { error })]);
    expect(ran).toMatchObject({
      code: 1,
      out: '',
      err: `error: task ${id} failed after 1 attempt: out_of_paper: the printer is empty\n`,
    });
  });

  it('exits 3 when it was cancelled', async () => {
    const [ran, id] = await Promise.all([run(['echo', '--wait', '--tenant', 'w3']), finishOf('w3', 'cancel')]);
    expect(ran).toMatchObject({ code: 3, out: '', err: `error: task ${id} was cancelled: no need\n` });
  });

  it('exits 4 when it takes too long', async () => {
    const { code, out, err } = await run(['echo', '--wait=30ms']);
    expect({ code, out }).toEqual({ code: 4, out: '' });
    expect(err).toMatch(/is still queued after \d+ ms of waiting; it goes on/);
  });

  it('ends at Ctrl-C and names the task that goes on', async () => {
    const there = (async () => {
      while ((await system.tasks.list({ tenant: 'w5' })).tasks.length === 0) await new Promise(setImmediate);
      await new Promise((resolve) => setTimeout(resolve, 30));
    })();
    const ran = await run(['echo', '--wait', '--tenant', 'w5'], { signals: [{ signal: 'SIGINT', after: there }] });
    const [task] = (await system.tasks.list({ tenant: 'w5' })).tasks;
    expect(ran).toMatchObject({ code: 130, out: '', err: `no longer waiting; task ${task!.id} goes on\n` });
    expect(task!.state).toBe('queued');
  });
});

describe('submit --batch', () => {
  async function file(name: string, lines: string[]): Promise<string> {
    await writeFile(join(folder, name), lines.join('\n'));
    return name;
  }

  it('submits a task for each line, with the flags for all', async () => {
    const lines = Array.from({ length: 1_234 }, (_, i) => JSON.stringify({ text: `line ${i}` }));
    const ran = await run(['echo', '--batch', await file('a.ndjson', lines), '--tenant', 'b1', '-o', 'ndjson']);
    expect(ran).toMatchObject({ code: 0, err: '1,234 tasks submitted\n' });
    const answers = ran.out
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line));
    expect(answers.map(({ line }) => line)).toEqual(lines.map((_, i) => i + 1));
    const last = await system.tasks.get(answers.at(-1).id);
    expect(last).toMatchObject({ tenant: 'b1', input: { text: 'line 1233' } });
  });

  it('names each bad line by its number, submits the others, and exits 1', async () => {
    const name = await file('b.ndjson', ['{"text":"a"}', '', '{bad', '{"text":1}', '{"text":"b"}']);
    const { code, out, err } = await run(['echo', '--batch', name, '--tenant', 'b2']);
    expect({ code, out }).toEqual({ code: 1, out: '' });
    expect(err).toMatch(/^line 3: not JSON: .*\nline 4: .*input\.text.*\n2 tasks submitted, 2 lines refused\n$/);
    expect((await system.tasks.list({ tenant: 'b2' })).tasks).toHaveLength(2);
  });

  it('takes whole tasks where no agent is named', async () => {
    const stdin = ['{"agent":"echo","input":{},"key":"k1","priority":9}', '{"agent":"nobody","input":1}', '[1]'].join(
      '\n',
    );
    const ran = await run(['--batch', '-', '--tenant', 'b3', '--priority', '1', '-o', 'json'], { stdin });
    expect(ran.code).toBe(1);
    expect(JSON.parse(ran.out)).toMatchObject([
      { line: 1, created: true },
      { line: 2, error: { code: 'UNKNOWN_AGENT' } },
      { line: 3, error: { code: 'BAD_REQUEST' } },
    ]);
    expect((await system.tasks.list({ tenant: 'b3' })).tasks).toMatchObject([{ key: 'k1', priority: 9 }]);
    const again = await run(['--batch', '-', '--tenant', 'b3'], { stdin: stdin.split('\n')[0]! });
    expect(again).toMatchObject({ code: 0, err: '0 tasks submitted, 1 known before\n' });
  });

  it('tells only so many bad lines one by one', async () => {
    const { err } = await run(['echo', '--batch', await file('c.ndjson', Array(250).fill('{bad'))]);
    expect(err.match(/^line \d+: not JSON/gm)).toHaveLength(100);
    expect(err).toMatch(/0 tasks submitted, 250 lines refused\n$/);
  });

  it('says which lines got no answer when the system goes away', async () => {
    const { code, err } = await cli(['submit', 'echo', '--batch', await file('d.ndjson', ['{}', '{}'])], {
      url: 'http://127.0.0.1:1',
      cwd: folder,
    });
    expect(code).toBe(69);
    expect(err).toContain('lines 1 to 2: no answer came');
  });

  it('draws a bar in a terminal', async () => {
    const name = await file('e.ndjson', Array(1_200).fill('{"text":"x"}'));
    const { err } = await run(['echo', '--batch', name], { columns: 80 });
    expect(err).toMatch(/█+░* \d[\d,]* tasks · \d+ %/);
    expect(err.endsWith('\r\u001b[K1,200 tasks submitted\n')).toBe(true);
  });
});
