/**
 * Runs in the module loader's own thread (see `fresh-modules.ts`). A module that was asked for in a generation passes it
 * on to what it imports, so that a change in a file behind an agent is read too; packages are left as they are.
 */

const GENERATION = 'generation';

interface Port {
  postMessage(url: string): void;
}

interface Resolved {
  url: string;
  format?: string | null;
  shortCircuit?: boolean;
}

type NextResolve = (specifier: string, context: ResolveContext) => Promise<Resolved>;

interface ResolveContext {
  parentURL?: string;
}

let port: Port | undefined;

export function initialize(data: { port: Port }): void {
  port = data.port;
}

export async function resolve(specifier: string, context: ResolveContext, next: NextResolve): Promise<Resolved> {
  const found = await next(specifier, context);
  const generation = generationOf(found.url) ?? generationOf(context.parentURL);
  if (generation === null || !found.url.startsWith('file:') || found.url.includes('/node_modules/')) return found;
  const url = new URL(found.url);
  url.searchParams.set(GENERATION, generation);
  port?.postMessage(url.href);
  return { ...found, url: url.href };
}

function generationOf(url: string | undefined): string | null {
  return url?.startsWith('file:') ? new URL(url).searchParams.get(GENERATION) : null;
}
