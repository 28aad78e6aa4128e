/**
 * Reads Markdown line by line, as far as the figures need it: headings, links, and which text is prose. Every
 * expression here is anchored or cannot overlap itself, so a hostile line costs no more than its length.
 */

export interface Heading {
  /** 1 to 6. */
  readonly level: number;
  readonly text: string;
}

/** A piece of prose and the line of the file on which it begins, from 1. */
export interface Block {
  readonly text: string;
  readonly line: number;
}

export interface MarkdownParts {
  readonly headings: Heading[];
  /** Distinct targets in order of appearance. */
  readonly links: string[];
  /** Paragraphs, list items and quotes: what has sentences. */
  readonly prose: Block[];
  /** Headings and table rows: words without sentences. */
  readonly rest: string[];
}

export function parseMarkdown(text: string): MarkdownParts {
  const parser = new MarkdownParser();
  const lines = text.split('\n');
  for (let i = frontMatterEnd(lines); i < lines.length; i++) parser.line(lines[i]!, i + 1);
  return parser.end();
}

class MarkdownParser {
  readonly #headings: Heading[] = [];
  readonly #links = new Set<string>();
  readonly #prose: Block[] = [];
  readonly #rest: string[] = [];
  #block: string[] = [];
  #blockLine = 0;
  #line = 0;
  #fence = '';

  line(raw: string, number: number): void {
    this.#line = number;
    const line = unquote(raw);
    if (this.#fence === '') this.#outsideFence(line);
    else this.#insideFence(line);
  }

  end(): MarkdownParts {
    this.#flush();
    return { headings: this.#headings, links: [...this.#links], prose: this.#prose, rest: this.#rest };
  }

  /** A fence closes with at least as many of the same character and nothing behind. */
  #insideFence(line: string): void {
    if (line.length >= this.#fence.length && line === this.#fence[0]!.repeat(line.length)) this.#fence = '';
  }

  #outsideFence(line: string): void {
    const fence = /^(?:`{3,}|~{3,})/.exec(line)?.[0];
    if (fence !== undefined) {
      this.#flush();
      this.#fence = fence;
    } else if (line === '') this.#flush();
    else this.#text(line);
  }

  #text(line: string): void {
    const level = headingLevel(line);
    if (level > 0) {
      this.#flush();
      this.#heading(level, line.slice(level));
    } else if (this.#block.length === 1 && /^(?:=+|-{2,})$/.test(line)) {
      const text = this.#block.pop()!;
      this.#heading(line[0] === '=' ? 1 : 2, text);
    } else if (this.#definition(line)) {
      this.#flush();
    } else if (line[0] === '|') {
      this.#flush();
      if (!/^[|\s:-]+$/.test(line)) this.#rest.push(this.#withoutLinks(line));
    } else {
      if (/^(?:[-*+]|\d{1,9}[.)])\s/.test(line)) this.#flush();
      if (this.#block.length === 0) this.#blockLine = this.#line;
      this.#block.push(line);
    }
  }

  /** `[name]: target`, alone on its line. */
  #definition(line: string): boolean {
    const target = /^\[[^\]]{1,200}\]:\s*<?([^\s<>]{1,2000})/.exec(line)?.[1];
    if (target !== undefined) this.#links.add(target);
    return target !== undefined;
  }

  #heading(level: number, raw: string): void {
    const text = headingText(raw);
    if (text === '') return;
    this.#headings.push({ level, text });
    this.#rest.push(this.#withoutLinks(raw));
  }

  #flush(): void {
    if (this.#block.length === 0) return;
    const text = this.#withoutLinks(this.#block.join('\n'));
    this.#block = [];
    if (text.trim() !== '') this.#prose.push({ text, line: this.#blockLine });
  }

  /** Notes the targets; a target is no word of the text, and neither is a tag. */
  #withoutLinks(text: string): string {
    return text
      .replace(LINK, (found, target: string | undefined) => {
        this.#links.add(target ?? trimUrl(found));
        return target === undefined ? ' ' : ']';
      })
      .replace(/<[a-zA-Z/!][^<>]*>/g, ' ');
  }
}

/** `](target "title")` with one level of brackets in the target, or a bare address. */
const LINK =
  /\]\(\s*<?((?:[^\s()<>]|\([^\s()<>]{0,500}\)){1,2000})>?(?:\s+"[^"]{0,300}")?\s*\)?|https?:\/\/[^\s<>"'`\])|]+/g;

/** The distinct web addresses in any text, in order of appearance. */
export function findUrls(text: string): string[] {
  const urls = new Set<string>();
  for (const [url] of text.matchAll(/https?:\/\/[^\s<>"'`\])|\\]+/g)) urls.add(trimUrl(url));
  return [...urls];
}

/** A full stop or comma behind an address belongs to the sentence. */
function trimUrl(url: string): string {
  let end = url.length;
  while (end > 0 && '.,;:!?*_'.includes(url[end - 1]!)) end--;
  return url.slice(0, end);
}

function unquote(raw: string): string {
  let line = raw.trim();
  for (let depth = 0; depth < QUOTE_DEPTH_MAX && line[0] === '>'; depth++) line = line.slice(1).trimStart();
  return line;
}

const QUOTE_DEPTH_MAX = 16;

function headingLevel(line: string): number {
  let level = 0;
  while (line[level] === '#') level++;
  if (level > 6) return 0;
  return level === line.length || line[level] === ' ' || line[level] === '\t' ? level : 0;
}

/** Headings are cut here so that the expressions below stay cheap on a line of a megabyte. */
const HEADING_LENGTH_MAX = 200;

function headingText(raw: string): string {
  return raw
    .trim()
    .slice(0, HEADING_LENGTH_MAX)
    .replace(/\s+#+$/, '')
    .replace(/^#+$/, '')
    .replace(/!?\[([^\]]*)\]\([^()]*\)/g, '$1')
    .replace(/[`*]/g, '')
    .trim();
}

/** The line behind a leading `---` … `---` block of settings, else 0. */
function frontMatterEnd(lines: readonly string[]): number {
  if (lines[0]?.trimEnd() !== '---') return 0;
  const bound = Math.min(lines.length, FRONT_MATTER_LINES_MAX);
  for (let i = 1; i < bound; i++) if (lines[i]!.trimEnd() === '---') return i + 1;
  return 0;
}

const FRONT_MATTER_LINES_MAX = 200;
