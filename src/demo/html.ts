/** Text that is already safe to stand in a page. Only `html` and `raw` make it. */
export class Html {
  readonly text: string;

  constructor(text: string) {
    this.text = text;
  }
}

export type HtmlValue = Html | string | number | null | readonly HtmlValue[];

/** A piece of page: every value put in is escaped unless it is `Html` itself, so forgetting to escape is not possible. */
export function html(pieces: TemplateStringsArray, ...values: HtmlValue[]): Html {
  let text = pieces[0]!;
  for (let i = 0; i < values.length; i++) text += render(values[i]!) + pieces[i + 1]!;
  return new Html(text);
}

/** Our own style and script; never a value from outside. */
export function raw(text: string): Html {
  return new Html(text);
}

function render(value: HtmlValue): string {
  if (value instanceof Html) return value.text;
  if (typeof value === 'string') return escapeHtml(value);
  if (typeof value === 'number') return String(value);
  return value === null ? '' : value.map(render).join('');
}

/**
 * The text as it may stand in an element or a quoted attribute. Control characters become visible signs, and marks
 * that turn the reading direction are taken out: with them a file name can look like another.
 */
export function escapeHtml(text: string): string {
  return text.replace(UNSAFE, (char) => ENTITIES[char] ?? visible(char.charCodeAt(0)));
}

const ENTITIES: Record<string, string> = { '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;', "'": '&#39;' };

// biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what is looked for.
const UNSAFE = /[&<>"'\u0000-\u001f\u007f-\u009f\u200e\u200f\u202a-\u202e\u2066-\u2069]/g;

function visible(code: number): string {
  if (code < 0x20) return String.fromCharCode(0x2400 + code);
  return code === 0x7f ? '\u2421' : '\ufffd';
}
