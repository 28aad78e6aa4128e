import { AgentSystemError } from '../errors.ts';
import { nearest } from '../runtime/near-names.ts';

/** The routes as they were registered, to tell a wrong method from a path that does not exist. */
export class RouteTable {
  readonly #methods = new Map<string, Set<string>>();
  readonly #servesTasks: boolean;

  constructor({ servesTasks }: { servesTasks: boolean }) {
    this.#servesTasks = servesTasks;
  }

  /** @param pattern such as `/v1/tasks/:id` */
  add(pattern: string, methods: string | string[]): void {
    const known = this.#methods.get(pattern) ?? new Set();
    for (const method of [methods].flat()) known.add(method);
    this.#methods.set(pattern, known);
  }

  /** Why nothing serves this request. `allow` is set when the path exists, with other methods. */
  whyNot(method: string, url: string): { error: AgentSystemError; allow?: string } {
    const path = url.split('?', 1)[0]!;
    const pattern = [...this.#methods.keys()].find((known) => matches(known, path));
    const methods = [...(this.#methods.get(pattern ?? '') ?? [])].sort();
    if (pattern && !methods.includes(method)) {
      const allow = methods.join(', ');
      return { allow, error: wrongMethod(method, path, methods) };
    }
    if (!this.#servesTasks && path.startsWith('/v1/')) return { error: elsewhere(path) };
    return { error: unknownPath(path, [...this.#methods.keys()]) };
  }
}

function matches(pattern: string, path: string): boolean {
  const wanted = pattern.split('/');
  const found = path.split('/');
  return wanted.length === found.length && wanted.every((part, i) => part.startsWith(':') || part === found[i]);
}

function wrongMethod(method: string, path: string, allowed: string[]): AgentSystemError {
  return new AgentSystemError('METHOD_NOT_ALLOWED', `${shown(path)} takes ${allowed.join(', ')}, not ${method}`, {
    details: { method, allowed },
  });
}

function elsewhere(path: string): AgentSystemError {
  const message = `there is nothing at ${shown(path)} of this process: tasks and the fleet are served by coordinators`;
  return new AgentSystemError('NOT_FOUND', message);
}

function unknownPath(path: string, patterns: string[]): AgentSystemError {
  // Long paths are cut: names are compared letter by letter.
  const near = nearest(path.slice(0, 100), patterns).map((pattern) => pattern.replaceAll(/:(\w+)/g, '{$1}'));
  const hint = near.length > 0 ? `; did you mean ${near.join(' or ')}?` : '';
  return new AgentSystemError('NOT_FOUND', `there is nothing at ${shown(path)}${hint}`, { details: { near } });
}

function shown(path: string): string {
  return JSON.stringify(path.slice(0, 100));
}
