/*
 * Does what the README shows, in a project that has nothing but the packed package. Ports alone are others: those of the
 * README may be taken where the tests run.
 */
import { execFile } from 'node:child_process';
import { copyFile, readFile, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { ROOT } from '../e2e/support/role-process.ts';
import { type RedisServer, startRedis } from '../support/redis-server.ts';
import { type PackedProject, packedProject } from './packed-project.ts';
import { blocksUnder, README } from './readme-blocks.ts';

const ANY_PORT = { COORDINATOR_PORT: '0', DISTRIBUTOR_PORT: '0', WORKER_PORT: '0' };

describe('the README, followed with the packed package', () => {
  let project: PackedProject;
  beforeAll(async () => {
    project = await packedProject();
  });
  beforeEach(async () => {
    project.env = { ...ANY_PORT };
    await rm(join(project.dir, '.env'), { force: true });
  });
  afterAll(() => project.remove());

  it('runs the demo of its first line', async () => {
    const [first] = blocksUnder('Start', 'sh');
    const demo = first!.replace('npm ci && ', '');
    expect(demo).toBe('npx agent-system demo\n');
    const { code, out, err } = await project.sh(demo);
    expect({ code, err }).toEqual({ code: 0, err: expect.stringMatching(/^\d+ text files in /) });
    expect(out).toContain('Report: report.html');
    expect(await readFile(join(project.dir, 'report.html'), 'utf8')).toContain('README.md');
  });

  it('compiles the library examples with full checks, and they print what they say', async () => {
    const [library, events] = blocksUnder('As a library', 'ts');
    await project.write('library.ts', library!);
    await project.write('events.ts', events!);
    await project.write('testing.ts', blocksUnder('Write an agent', 'ts')[0]!);
    await project.write('agents/shout.ts', blocksUnder('Write an agent', 'js')[0]!);
    await project.write('tsconfig.json', JSON.stringify({ compilerOptions: STRICT, include: ['*.ts', 'agents/*.ts'] }));
    await promisify(execFile)(join(ROOT, 'node_modules/.bin/tsc'), ['-p', project.dir]).catch(({ stdout }) => {
      throw new Error(`the examples do not compile:\n${stdout}`);
    });
    for (const [program, prints] of [
      ['library', 'hi'],
      ['events', 'task.submitted true'],
      ['testing', 'true HI 1'],
    ]) {
      const { code, out, err } = await project.sh(`node built/${program}.js`);
      expect({ program, code, err, first: out.split('\n')[0] }).toEqual({ program, code: 0, err: '', first: prints });
    }
  });

  it('runs the agent it shows, with .env.example as .env', async () => {
    await copyFile(join(project.dir, 'node_modules/agent-system/.env.example'), join(project.dir, '.env'));
    const [agent] = blocksUnder('Write an agent', 'js');
    await project.write(/agents\/\w+\.mjs/.exec(agent!)![0], agent!);
    const [start, submit] = blocksUnder('Write an agent', 'sh');
    const role = project.start(start!);
    project.env.AGENT_SYSTEM_URL = (await role.logged('Started')).url!;
    await role.logged('Distributor chosen');
    const { code, out, err } = await project.sh(submit!);
    expect({ code, err, result: JSON.parse(out) }).toEqual({ code: 0, err: '', result: { text: 'HI' } });
    expect(await role.end()).toBe(0);
  });

  it('names the zod that the package is built with, and only files that the package has', async () => {
    const text = await readFile(README, 'utf8');
    const { dependencies } = JSON.parse(await readFile(join(ROOT, 'package.json'), 'utf8'));
    expect(text).toContain(`zod@${dependencies.zod}`);
    const links = [...text.matchAll(/\]\(((?!https?:)[^)#]+)\)/g)].map(([, path]) => path!);
    expect(links.length).toBeGreaterThan(0);
    for (const path of links)
      await expect(stat(join(project.dir, 'node_modules/agent-system', path))).resolves.toBeTruthy();
  });

  describe('on a Redis', () => {
    let redis: RedisServer;
    beforeAll(async () => {
      redis = await startRedis();
    });
    afterAll(() => redis.stop());

    it('runs three roles by hand, every command it names and the calls of HTTP', async () => {
      const [settings, roles, commands] = blocksUnder('Three roles by hand', 'sh');
      await project.sh(settings!.replace('redis://127.0.0.1:6379', `redis://127.0.0.1:${redis.port}`));
      const [coordinator, ...others] = roles!
        .trim()
        .split('\n')
        .map((line) => project.start(line));
      const { url } = await coordinator!.logged('Started');
      await others[1]!.logged('Distributor chosen');
      project.env.AGENT_SYSTEM_URL = url!;
      const done = await project.sh(commands!);
      expect(done).toMatchObject({ code: 0, err: '' });
      expect(done.out).toMatch(/^\{\n {2}"text": "hi"\n\}\n\{\n {2}"operation": "mean",\n {2}"result": 2,/);
      expect(done.out).toMatch(/^\S+ +compute +completed +8 +1\/3 /m);
      expect(done.out).toMatch(/^worker-\S+ +ready +4 /m);
      expect(done.out).toContain('"agent": "echo"');
      const here = (lines: string) =>
        lines.replaceAll('http://127.0.0.1:8001', url!).replaceAll('curl -s', "curl -s -w '\\n'");
      const [calls] = blocksUnder('HTTP', 'sh');
      const answered = await project.sh(here(calls!));
      expect(answered).toMatchObject({ code: 0, err: '' });
      const [submitted, result] = answered.out
        .trim()
        .split('\n')
        .map((line) => JSON.parse(line));
      expect(submitted).toMatchObject({ agent: 'echo', priority: 8, key: 'order-77' });
      expect(result).toMatchObject({ state: 'completed', result: { text: 'hello' } });
      for (const [heading, says] of MORE) {
        const { code, out, err } = await project.sh(here(blocksUnder(heading, 'sh').join('')));
        expect({ heading, code, err }).toMatchObject({ heading, code: 0 });
        expect(out).toMatch(says);
      }
      expect(await Promise.all([coordinator!, ...others].map((role) => role.end()))).toEqual([0, 0, 0]);
    });
  });
});

/** Sections whose blocks run against the three roles, with what it must print. */
const MORE: [heading: string, says: RegExp][] = [
  ['Commands', /^ok +version +agent-system /m],
  ['Where and when a task runs', /"queueTimeoutMs":30000/],
  ['Schedules', /^\S+ +compute +/m],
  ['Snapshots', /./],
  ['Secure it', /sha256:[\s\S]*signs/],
];

const STRICT = {
  module: 'nodenext',
  target: 'es2023',
  strict: true,
  skipLibCheck: false,
  verbatimModuleSyntax: true,
  types: ['node'],
  outDir: 'built',
};
