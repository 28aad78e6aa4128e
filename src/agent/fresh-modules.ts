import { register } from 'node:module';
import { fileURLToPath } from 'node:url';
import type { LoadModule } from './load-agents.ts';

/**
 * Imports modules anew although the runtime keeps what it has read for good: each generation asks for them under another
 * URL, and a hook of the loader gives what they import the same one. What earlier generations read stays in memory, so
 * this is for development only.
 */
export class FreshModules {
  readonly #files = new Set<string>();
  #generation = 0;

  constructor() {
    const { port1, port2 } = new MessageChannel();
    port1.on('message', (url: string) => this.#files.add(pathOf(url)));
    // It must not keep the process alive.
    port1.unref();
    register(new URL('./fresh-modules-hooks.js', import.meta.url), { data: { port: port2 }, transferList: [port2] });
  }

  /** A loader that reads everything once more. */
  next(): LoadModule {
    const generation = ++this.#generation;
    return (url) => {
      this.#files.add(pathOf(url));
      return import(`${url}?generation=${generation}`);
    };
  }

  /** Every file read so far, packages left out. */
  files(): string[] {
    return [...this.#files];
  }
}

function pathOf(url: string): string {
  const { href } = Object.assign(new URL(url), { search: '' });
  return fileURLToPath(href);
}
