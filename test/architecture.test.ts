/*
 * Reads the sources and holds them to two rules of the design: what touches the world stands in one folder each (rule
 * 18, so that the simulator runs the real roles), and folders import each other in one direction only (section 4).
 */
import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join, relative, resolve, sep } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';

const SRC = fileURLToPath(new URL('../src', import.meta.url));

interface World {
  what: string;
  found: RegExp;
  /** Folders or files below `src/`. */
  in: readonly string[];
}

/** What only one place may touch. */
const WORLD: World[] = [
  {
    what: 'the clock',
    found: /\bDate\.now\b|\bnew Date\(\)|\bprocess\.hrtime\b|\bperformance\.now\b/,
    in: ['runtime/'],
  },
  { what: 'timers', found: /\b(setTimeout|setInterval|setImmediate)\b/, in: ['runtime/'] },
  {
    what: 'chance',
    found: /\bMath\.random\b|\b(randomUUID|randomBytes|randomInt|getRandomValues)\b/,
    in: ['runtime/'],
  },
  { what: 'the environment', found: /\bprocess\.env\b/, in: ['config/'] },
  { what: 'Redis', found: /from '(ioredis|redlock)'|import\('(ioredis|redlock)'\)/, in: ['store/redis/'] },
  { what: 'the HTTP server', found: /from '@?fastify(\/[^']*)?'|import\('fastify'\)/, in: ['api/'] },
  { what: 'threads', found: /'(node:)?worker_threads'/, in: ['worker/heartbeat-thread.ts', 'worker-heart.ts'] },
];

/** Places that may all the same, each for a reason. */
const EXCEPTIONS: Record<string, string> = {
  'app.ts chance': 'an embedded store without a secret gets one: 32 bytes from the system, before any role exists',
  'open-store.ts chance': 'the identity of a new store, chosen before any role exists',
  'store/redis/connect.ts the clock': 'how long a command took, for a metric; nothing is decided by it',
};

const CORE = ['task', 'scheduling', 'message', 'lease', 'schedule'] as const;
const LEAVES = ['errors.ts', 'version.ts'];
const PORTS_DOWN = ['store', ...CORE, 'runtime'];
const OUTSIDE = ['service', 'agent', 'config', 'observability', 'client', ...PORTS_DOWN];

/** From a folder to those it may import; leaves and itself always. The composition may import everything. */
const MAY_IMPORT: Record<string, readonly string[]> = {
  runtime: [],
  task: ['runtime', ...CORE],
  scheduling: ['runtime', ...CORE],
  message: ['runtime', ...CORE],
  lease: ['runtime', ...CORE],
  schedule: ['runtime', ...CORE],
  net: [],
  agent: ['runtime', 'net'],
  observability: ['runtime', ...CORE],
  config: ['runtime', ...CORE, 'net'],
  store: [...CORE, 'runtime'],
  'store/memory': PORTS_DOWN,
  'store/redis': PORTS_DOWN,
  fleet: PORTS_DOWN,
  coordinator: ['fleet', 'agent', ...PORTS_DOWN],
  distributor: ['fleet', 'agent', ...PORTS_DOWN],
  worker: ['fleet', 'agent', ...PORTS_DOWN],
  service: ['fleet', ...PORTS_DOWN],
  snapshot: PORTS_DOWN,
  client: ['service', 'snapshot', 'agent', 'config', ...PORTS_DOWN],
  api: ['snapshot', ...OUTSIDE],
  demo: ['client', 'agent', 'config', 'runtime', ...CORE],
  cli: ['composition', 'demo', 'api', 'snapshot', ...OUTSIDE],
};

describe('the sources', () => {
  const files = sourcesBelow(SRC);
  const imports = files.flatMap((file) => importsOf(file));

  it('are read at all', () => {
    expect(files.length).toBeGreaterThan(50);
    expect(imports.length).toBeGreaterThan(200);
  });

  it('touch the world in one folder each', () => {
    const breaks = files.flatMap((file) =>
      file.lines.flatMap((line, i) =>
        WORLD.filter((world) => world.found.test(line) && !mayTouch(file.path, world)).map(
          ({ what, in: places }) =>
            `src/${file.path}:${i + 1} touches ${what}, only ${places.join(', ')} may: ${line.trim()}`,
        ),
      ),
    );
    expect(breaks).toEqual([]);
  });

  it('list no exception that nobody needs', () => {
    const needed = new Set(
      files.flatMap(({ path, lines }) =>
        WORLD.filter((world) => lines.some((line) => world.found.test(line))).map(({ what }) => `${path} ${what}`),
      ),
    );
    expect(Object.keys(EXCEPTIONS).filter((name) => !needed.has(name))).toEqual([]);
  });

  it('import in the allowed directions only', () => {
    const breaks = imports
      .filter((one) => !isAllowed(one))
      .map((one) => `${shown(one)}: ${folderOf(one.from)} may not`);
    expect(breaks).toEqual([]);
  });

  it('import from another part of the core nothing but types', () => {
    const isCore = (path: string) => (CORE as readonly string[]).includes(folderOf(path));
    const across = imports.filter(({ from, to }) => isCore(from) && isCore(to) && folderOf(from) !== folderOf(to));
    expect(across.filter(({ typesOnly }) => !typesOnly).map(shown)).toEqual([]);
    const world = imports.filter(({ from, to }) => isCore(from) && folderOf(to) === 'runtime');
    expect(world.filter(({ to, typesOnly }) => !typesOnly && to !== 'runtime/base32.ts').map(shown)).toEqual([]);
  });

  it('import in no circle of folders', () => {
    // Types of the core may name each other: nothing of them is left when the program runs.
    const edges = imports.filter(
      ({ from, to, typesOnly }) => folderOf(from) !== folderOf(to) && !(typesOnly && inCore(from)),
    );
    expect(circleOf(edges.map(({ from, to }) => [folderOf(from), folderOf(to)]))).toBeNull();
  });

  it('have no barrel but src/index.ts', () => {
    const breaks = files
      .filter(({ path }) => path !== 'index.ts')
      .flatMap(({ path, lines }) =>
        lines.flatMap((line, i) => (REEXPORT.test(line) ? [`src/${path}:${i + 1}: ${line}`] : [])),
      );
    expect(breaks).toEqual([]);
  });

  it('name the extension of every relative import', () => {
    expect(imports.filter(({ to }) => !to.endsWith('.ts')).map(shown)).toEqual([]);
  });
});

describe('the rules of this test', () => {
  it('see a broken rule', () => {
    const [clock] = WORLD;
    expect(mayTouch('task/task.ts', clock!)).toBe(false);
    expect(isAllowed({ from: 'task/task.ts', line: 1, to: 'store/store.ts', typesOnly: true })).toBe(false);
    expect(isAllowed({ from: 'worker/worker.ts', line: 1, to: 'store/memory/memory-store.ts', typesOnly: false })).toBe(
      false,
    );
    expect(isAllowed({ from: 'api/server.ts', line: 1, to: 'coordinator/coordinator.ts', typesOnly: false })).toBe(
      false,
    );
    expect(
      circleOf([
        ['a', 'b'],
        ['b', 'c'],
        ['c', 'a'],
      ]),
    ).toEqual(['a', 'b', 'c', 'a']);
    expect(withoutComments('a(); // Date.now\n/* setTimeout\n */ b();')).toBe('a(); \n\n b();');
  });
});

interface Source {
  /** Below `src/`, with slashes. */
  path: string;
  /** Without comments. */
  lines: string[];
}

interface Import {
  from: string;
  line: number;
  to: string;
  typesOnly: boolean;
}

const REEXPORT = /^export (type )?(\*|\{[^}]*\}) from /;
/** A whole import or re-export, over several lines if need be; also `import('…')`. */
const IMPORT = /(?:^(?:import|export)\s+(type\s+)?([^;'"]*?)\s*from\s*|^import\s*|\bimport\()'(\.[^']*)'/gm;

function sourcesBelow(folder: string): Source[] {
  return readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile() && entry.name.endsWith('.ts'))
    .map((entry) => join(entry.parentPath, entry.name))
    .map((file) => ({
      path: relative(folder, file).split(sep).join('/'),
      lines: withoutComments(readFileSync(file, 'utf8')).split('\n'),
    }))
    .sort((a, b) => (a.path < b.path ? -1 : 1));
}

/** Lines stay where they are. A `//` inside a text (an address) is taken for a comment too: what follows hides nothing. */
function withoutComments(text: string): string {
  return text
    .replace(/\/\*[\s\S]*?\*\//g, (comment) => comment.replace(/[^\n]/g, ''))
    .replace(/(^|[^:'"`])\/\/[^\n]*/g, '$1');
}

function importsOf({ path, lines }: Source): Import[] {
  const text = lines.join('\n');
  return [...text.matchAll(IMPORT)].map((match) => {
    const names = match[2] ?? '';
    const inner = /^\{([\s\S]*)\}$/.exec(names.trim())?.[1];
    const allTypes = inner?.split(',').every((name) => name.trim() === '' || name.trim().startsWith('type ')) ?? false;
    return {
      from: path,
      line: text.slice(0, match.index).split('\n').length,
      to: relative(SRC, resolve(SRC, dirname(path), match[3]!))
        .split(sep)
        .join('/'),
      typesOnly: match[1] !== undefined || allTypes,
    };
  });
}

/** `store/memory` and `store/redis` are folders of their own; files beside the folders put everything together. */
function folderOf(path: string): string {
  const parts = path.split('/');
  if (parts.length === 1) return LEAVES.includes(path) ? path : 'composition';
  return parts[0] === 'store' && parts.length > 2 ? `${parts[0]}/${parts[1]}` : parts[0]!;
}

function inCore(path: string): boolean {
  return (CORE as readonly string[]).includes(folderOf(path));
}

function isAllowed({ from, to }: Import): boolean {
  const [source, target] = [folderOf(from), folderOf(to)];
  if (source === target || source === 'composition') return true;
  if (LEAVES.includes(target)) return true;
  return MAY_IMPORT[source]?.includes(target) ?? false;
}

function mayTouch(path: string, { what, in: places }: World): boolean {
  return places.some((place) => path.startsWith(place)) || `${path} ${what}` in EXCEPTIONS;
}

function shown({ from, line, to, typesOnly }: Import): string {
  return `src/${from}:${line} imports ${typesOnly ? 'types of ' : ''}src/${to}`;
}

/** The first way from a folder back to itself; null = there is none. */
function circleOf(edges: [from: string, to: string][]): string[] | null {
  const next = new Map<string, Set<string>>();
  for (const [from, to] of edges) next.set(from, (next.get(from) ?? new Set()).add(to));
  const clean = new Set<string>();
  const search = (folder: string, way: string[]): string[] | null => {
    if (way.includes(folder)) return [...way.slice(way.indexOf(folder)), folder];
    if (clean.has(folder)) return null;
    for (const to of next.get(folder) ?? []) {
      const circle = search(to, [...way, folder]);
      if (circle) return circle;
    }
    clean.add(folder);
    return null;
  };
  for (const folder of next.keys()) {
    const circle = search(folder, []);
    if (circle) return circle;
  }
  return null;
}
