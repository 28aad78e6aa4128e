/** The scripts in the shells that they are for: what TAB would offer. */
import { execFile, spawnSync } from 'node:child_process';
import { chmod, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { cli } from './builders.ts';

const run = promisify(execFile);
const hasZsh = spawnSync('zsh', ['--version']).status === 0;

let folder = '';
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'completion-'));
  for (const shell of ['bash', 'zsh']) await writeFile(join(folder, shell), (await cli(['completion', shell])).out);
  // Stands for the program where a script asks it for names: it answers with what it was asked.
  await writeFile(
    join(folder, 'agent-system'),
    '#!/bin/sh\necho NAME\nfor word in "$@"; do echo "asked-$word"; done\n',
  );
  await chmod(join(folder, 'agent-system'), 0o755);
  await writeFile(join(folder, 'order.json'), '{}');
});
afterAll(() => rm(folder, { recursive: true, force: true }));

/** @param line words with one space between them; the last one is where the cursor stands */
async function offeredByBash(line: string): Promise<string[]> {
  const script = `source ./bash
COMP_WORDS=(${line
    .split(' ')
    .map((word) => `'${word}'`)
    .join(' ')})
COMP_CWORD=$(( \${#COMP_WORDS[@]} - 1 ))
_agent_system ./agent-system
printf '%s\\n' "\${COMPREPLY[@]}"`;
  const { stdout } = await run('bash', ['--norc', '--noprofile', '-c', script], { cwd: folder });
  return stdout.split('\n').filter((word) => word !== '');
}

describe('completion in bash', () => {
  it.each([
    ['agent-system ta', ['tasks']],
    ['agent-system queues ', ['list', 'pause', 'resume', 'help']],
    ['agent-system tasks list --st', ['--state']],
    ['agent-system tasks list --state queued,ru', ['queued,running']],
    // So does bash split --state=comp.
    ['agent-system tasks list --state = comp', ['completed']],
    ['agent-system -o nd', ['ndjson']],
    ['agent-system -o json tasks l', ['list']],
    ['agent-system submit echo --wait --prior', ['--priority']],
    ['agent-system submit echo --priority u', ['urgent']],
    ['agent-system submit echo --input @ord', ['@order.json']],
    ['agent-system submit --batch ord', ['order.json']],
    ['agent-system submit ', ['asked-agents', 'asked-list']],
    [
      'agent-system --url http://h:1 workers drain ',
      ['asked-workers', 'asked-list', 'asked---url', 'asked-http://h:1'],
    ],
    ['agent-system tasks get 01 asked-t', ['asked-tasks']],
    ['agent-system schedules create ', []],
    ['agent-system schedules create a --overlap re', ['replace']],
    ['agent-system help sub', ['submit']],
    ['agent-system completion ', ['bash', 'zsh']],
    ['agent-system nonsense ', []],
  ])('offers after "%s"', async (line, wanted) => {
    expect(await offeredByBash(line)).toEqual(wanted);
  });

  it('is loaded without a word', async () => {
    const { stdout, stderr } = await run('bash', ['--norc', '-u', '-c', 'source ./bash; complete -p agent-system'], {
      cwd: folder,
    });
    expect({ stdout, stderr }).toEqual({ stdout: 'complete -F _agent_system agent-system\n', stderr: '' });
  });
});

/** A zsh in a terminal of its own, in which TAB is pressed; answers the line as it stands then, and what is listed. */
async function shownByZsh(line: string): Promise<string> {
  const script = `zmodload zsh/zpty
zpty shell zsh -f -i
zpty -w shell "LISTMAX=999; setopt nobeep; autoload -U compinit; compinit -u -D; source ./zsh; PS1='EDI''TOR> '"
zpty -r shell out '*EDITOR> *'
zpty -n -w shell $1$'\\t'" #END"$'\\n'
zpty -r shell out '*END*'
print -r -- $out`;
  const { stdout } = await run('zsh', ['-f', '-c', script, 'zsh', line], { cwd: folder, timeout: 20_000 });
  return stdout;
}

describe.skipIf(!hasZsh)('completion in zsh', () => {
  it.each([
    ['agent-system ta', 'agent-system tasks'],
    ['agent-system tasks ', 'say why tasks stand where they stand'],
    ['agent-system tasks list --stat', '--state'],
    ['agent-system tasks list --state queued,ru', 'queued,running'],
    ['agent-system tasks list --state=comp', '--state=completed'],
  ])('offers after "%s"', async (line, wanted) => {
    expect(await shownByZsh(line)).toContain(wanted);
  });
});

describe('completion', () => {
  it('knows no other shells', async () => {
    expect(await cli(['completion', 'fish'])).toMatchObject({
      code: 2,
      out: '',
      err: expect.stringContaining('Allowed choices are bash, zsh'),
    });
  });
});
