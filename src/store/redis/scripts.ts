import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';

/**
 * What Redis may do with each script. `create` is refused when Redis is out of memory; `write` goes on then, so that a
 * full store drains and workers stay alive; `read` writes nothing.
 */
const SCRIPTS = {
  'commit:create': 'create',
  commit: 'write',
  read: 'read',
  'block-sizes': 'read',
  cut: 'read',
  'unique-keys': 'read',
  'put-unique': 'create',
  take: 'write',
  'give-back': 'write',
  'expire-reservations': 'write',
  queues: 'read',
  place: 'read',
  extent: 'read',
  'set-paused': 'write',
  'set-caps': 'write',
  caps: 'read',
  'write-ledger': 'write',
  beat: 'write',
  heartbeats: 'read',
  report: 'write',
  enlist: 'write',
  retire: 'write',
  register: 'write',
  touch: 'write',
  deregister: 'write',
  instances: 'read',
  announce: 'write',
  catalog: 'read',
  quarantine: 'write',
  'write-schedule': 'write',
  schedules: 'read',
  'put-result': 'write',
  'claim-epoch': 'write',
  owner: 'read',
} as const;

const HEADERS = { create: '#!lua', write: '#!lua flags=allow-oom', read: '#!lua flags=no-writes' } as const;

export type ScriptName = keyof typeof SCRIPTS;

export interface Script {
  name: ScriptName;
  text: string;
  sha: string;
}

export type Scripts = Readonly<Record<ScriptName, Script>>;

let loaded: Scripts | null = null;

/** The scripts of the folder `redis/`, read once. `--@include name` stands for the file `shared/name.lua`. */
export function loadScripts(): Scripts {
  loaded ??= Object.fromEntries(
    (Object.keys(SCRIPTS) as ScriptName[]).map((name) => [name, loadScript(name)]),
  ) as Record<ScriptName, Script>;
  return loaded;
}

function loadScript(name: ScriptName): Script {
  const [file] = name.split(':');
  const body = readLua(`${file}.lua`).replace(/^--@include (\S+)$/gm, (_, part: string) =>
    readLua(`shared/${part}.lua`),
  );
  const text = `${HEADERS[SCRIPTS[name]]}\n${body}`;
  return { name, text, sha: createHash('sha1').update(text).digest('hex') };
}

/** The folder lies beside `src/` and `dist/` alike. */
function readLua(path: string): string {
  return readFileSync(new URL(`../../../redis/${path}`, import.meta.url), 'utf8');
}
