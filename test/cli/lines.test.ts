import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type Line, readLines } from '../../src/cli/lines.ts';

async function* chunksOf(bytes: Buffer, size: number): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < bytes.length; at += size) yield bytes.subarray(at, at + size);
}

async function linesOf(text: string, size = 3, max?: number): Promise<Line[]> {
  const lines: Line[] = [];
  for await (const line of readLines({ name: 'x', chunks: chunksOf(Buffer.from(text), size) }, max)) lines.push(line);
  return lines;
}

describe('the lines of a file', () => {
  it('are numbered from one, with the empty ones counted and passed over', async () => {
    const lines = await linesOf('\ufeff{"a":1}\r\n\n  \n[2]\n"é"');
    expect(lines.map((line) => [line.number, 'text' in line ? line.text : ''])).toEqual([
      [1, '{"a":1}'],
      [4, '[2]'],
      [5, '"é"'],
    ]);
  });

  it('add up to the bytes of the file, but for empty lines at its end', async () => {
    const text = 'ä\n\n\nb\nc';
    const lines = await linesOf(text);
    expect(lines.reduce((sum, line) => sum + line.bytes, 0)).toBe(Buffer.byteLength(text));
  });

  it('are the same however the file comes in', async () => {
    const line = fc.string({ unit: 'grapheme', maxLength: 6 }).map((text) => text.replace(/[\r\n\ufeff]/g, ''));
    await fc.assert(
      fc.asyncProperty(fc.array(line), fc.integer({ min: 1, max: 9 }), async (texts, size) => {
        const found = await linesOf(texts.join('\n'), size);
        const wanted = texts.flatMap((text, i) => (text.trim() === '' ? [] : [[i + 1, text.trim()]]));
        expect(found.map((one) => [one.number, 'text' in one ? one.text : ''])).toEqual(wanted);
      }),
    );
  });

  it('are told when they are too long, and the next ones are read', async () => {
    const lines = await linesOf(`${'x'.repeat(30)}\nok\n`, 7, 10);
    expect(lines).toMatchObject([
      { number: 1, fault: 'too long: 30 bytes, wanted at most 10' },
      { number: 2, text: 'ok' },
    ]);
  });
});
