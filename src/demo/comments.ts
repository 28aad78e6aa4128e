import type { Block } from './markdown.ts';
import type { CommentStyle } from './text-kind.ts';

/**
 * The prose of a source file: its comments that stand on lines of their own, and Python's docstrings, one block per
 * paragraph. A comment behind code is left out, because only a parser of the language could tell `//` from the
 * middle of a string.
 */
export function commentBlocks(text: string, style: CommentStyle): Block[] {
  if (style === 'none') return [];
  const blocks: Block[] = [];
  let block: string[] = [];
  let startedAt = 0;
  const flush = () => {
    if (block.length > 0) blocks.push({ text: block.join('\n'), line: startedAt });
    block = [];
  };
  let closing = '';
  for (const [i, raw] of text.split('\n').entries()) {
    const line = raw.trim();
    const found: CommentLine = closing === '' ? openLine(line, style) : insideLine(line, closing);
    closing = found.closing;
    const words = found.text?.trim() ?? '';
    if (words === '' || words[0] === '@') flush();
    if (words === '') continue;
    if (block.length === 0) startedAt = i + 1;
    block.push(words);
  }
  flush();
  return blocks;
}

interface CommentLine {
  /** What the line says; null when it is no comment. */
  readonly text: string | null;
  /** The mark that ends the comment this line leaves open, else empty. */
  readonly closing: string;
}

const CODE_LINE: CommentLine = { text: null, closing: '' };

function openLine(line: string, style: CommentStyle): CommentLine {
  if (style === 'slash') {
    if (line.startsWith('//')) return { text: stripMarks(line), closing: '' };
    return line.startsWith('/*') ? insideLine(line.slice(2), '*/') : CODE_LINE;
  }
  if (style === 'dash') {
    if (line.startsWith('--[[')) return insideLine(line.slice(4), ']]');
    return line.startsWith('--') ? { text: stripMarks(line), closing: '' } : CODE_LINE;
  }
  if (line.startsWith('"""') || line.startsWith("'''")) return insideLine(line.slice(3), line.slice(0, 3));
  return line.startsWith('#') && !line.startsWith('#!') ? { text: stripMarks(line), closing: '' } : CODE_LINE;
}

function insideLine(line: string, closing: string): CommentLine {
  const end = line.indexOf(closing);
  return end < 0 ? { text: stripMarks(line), closing } : { text: stripMarks(line.slice(0, end)), closing: '' };
}

/** The stars, slashes and dashes that draw the comment. */
function stripMarks(line: string): string {
  let i = 0;
  while (i < line.length && '/*#-!'.includes(line[i]!)) i++;
  return line.slice(i);
}
