/** The README as its reader meets it: code blocks under the heading where they stand. */
import { readFileSync } from 'node:fs';

export const README = new URL('../../README.md', import.meta.url);

/**
 * The blocks of one language under a heading, in their order.
 * @throws when there is none: a test of nothing would pass
 */
export function blocksUnder(heading: string, language: string): string[] {
  const section = readFileSync(README, 'utf8')
    .split(/^## /m)
    .find((part) => part.startsWith(`${heading}\n`));
  if (section === undefined) throw new Error(`the README has no heading "${heading}"`);
  const blocks = [...section.matchAll(/^```(\S+)\n(.*?)^```$/gms)]
    .filter(([, found]) => found === language)
    .map(([, , text]) => text!);
  if (blocks.length === 0) throw new Error(`the README has no ${language} block under "${heading}"`);
  return blocks;
}
