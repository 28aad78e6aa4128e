import { commentBlocks } from './comments.ts';
import { type Block, findUrls, type Heading, parseMarkdown } from './markdown.ts';
import { commentStyle, type TextKind, textKind } from './text-kind.ts';

/** A text taken apart, before anything is counted or compared. */
export interface TextParts {
  /** With one kind of line ending and no byte order mark. */
  readonly text: string;
  readonly kind: TextKind;
  readonly headings: readonly Heading[];
  readonly links: readonly string[];
  /** What has sentences: paragraphs, list items, comments. */
  readonly prose: readonly Block[];
  /** Words without sentences. */
  readonly rest: readonly string[];
}

/** `path` only tells the kind of the text. */
export function readText(raw: string, path: string): TextParts {
  const text = plainLines(raw);
  const kind = textKind(path);
  if (kind === 'markdown') return { text, kind, ...parseMarkdown(text) };
  const prose = blocksOf(text, kind, path).map(({ text: block, line }) => ({ text: withoutUrls(block), line }));
  return { text, kind, headings: [], links: findUrls(text), prose, rest: [] };
}

/** One kind of line ending and no byte order mark. */
function plainLines(raw: string): string {
  const text = raw.charCodeAt(0) === 0xfeff ? raw.slice(1) : raw;
  return text.includes('\r') ? text.replace(/\r\n?/g, '\n') : text;
}

function blocksOf(text: string, kind: TextKind, path: string): Block[] {
  if (kind === 'text') return paragraphs(text);
  return kind === 'code' ? commentBlocks(text, commentStyle(path)) : [];
}

/** Runs of lines between blank ones. */
function paragraphs(text: string): Block[] {
  const blocks: Block[] = [];
  let block: string[] = [];
  const lines = text.split('\n');
  for (let i = 0; i <= lines.length; i++) {
    const line = lines[i] ?? '';
    if (line.trim() !== '') block.push(line);
    else if (block.length > 0) {
      blocks.push({ text: block.join('\n'), line: i - block.length + 1 });
      block = [];
    }
  }
  return blocks;
}

function withoutUrls(text: string): string {
  return text.replace(/https?:\/\/\S+/g, ' ');
}
