import { posix } from 'node:path';

export type TextKind = 'markdown' | 'text' | 'code' | 'data';
export type CommentStyle = 'slash' | 'hash' | 'dash' | 'none';

/** What a file's name says about its content. An unknown ending is read as plain text. */
export function textKind(path: string): TextKind {
  const ending = endingOf(path);
  if (MARKDOWN.has(ending)) return 'markdown';
  if (DATA.has(ending)) return 'data';
  return commentStyle(path) === 'none' && !OTHER_CODE.has(ending) ? 'text' : 'code';
}

/** How comments begin in a source file of this name. */
export function commentStyle(path: string): CommentStyle {
  const ending = endingOf(path);
  if (SLASH.has(ending)) return 'slash';
  if (HASH.has(ending)) return 'hash';
  return DASH.has(ending) ? 'dash' : 'none';
}

function endingOf(path: string): string {
  const name = posix.basename(path).toLowerCase();
  const dot = name.lastIndexOf('.');
  return dot > 0 ? name.slice(dot + 1) : name;
}

const list = (names: string) => new Set(names.split(' '));

const MARKDOWN = list('md markdown mdx mdown');
const DATA = list('json jsonl ndjson json5 csv tsv yaml yml toml ini xml svg conf cfg properties acl plist lock');
const SLASH = list(
  'ts tsx mts cts js jsx mjs cjs go rs java kt kts c h cc cpp cxx hpp cs php swift scala dart m mm zig proto css scss less gradle groovy v sol',
);
const HASH = list('py pyi rb sh bash zsh fish r pl pm ex exs jl nim tf ps1 dockerfile makefile mk cmake graphql');
const DASH = list('lua sql hs elm ada');
const OTHER_CODE = list('html htm vue svelte erl clj lisp el vim bat asm s');
