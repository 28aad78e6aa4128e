import { describe, expect, it } from 'vitest';
import type { Io } from '../../src/cli/io.ts';
import { Progress, progressBar, progressText } from '../../src/cli/progress.ts';
import { widthOf } from '../../src/cli/text-width.ts';
import { createVirtualRuntime } from '../../src/runtime/virtual-runtime.ts';

function watched(errColumns: number | null) {
  const runtime = createVirtualRuntime(1);
  const written: string[] = [];
  const io = { errColumns, err: (text: string) => void written.push(text) } as Io;
  return { runtime, written, progress: new Progress({ io, runtime, noun: 'files' }) };
}

describe('progress', () => {
  it('redraws one line in a terminal, no more often than the eye can see', async () => {
    const { runtime, written, progress } = watched(40);
    for (let done = 0; done < 100; done++) {
      progress.update({ done, total: 100, fraction: done / 100 });
      await runtime.advance(10);
    }
    expect(written.length).toBeGreaterThan(8);
    expect(written.length).toBeLessThan(20);
    for (const text of written) {
      expect(text.startsWith('\r\u001b[K')).toBe(true);
      expect(widthOf(text.slice(4))).toBeLessThan(40);
    }
    progress.clear();
    expect(written.at(-1)).toBe('\r\u001b[K');
  });

  it('says a line now and then where there is no terminal, none when it is quick', async () => {
    const { runtime, written, progress } = watched(null);
    for (let done = 0; done < 12; done++) {
      progress.update({ done, total: 12, fraction: done / 12 });
      await runtime.advance(1_000);
    }
    progress.clear();
    expect(written).toEqual(['5 of 12 files · 41 % · 1/s · 6s left\n', '10 of 12 files · 83 % · 1/s · 1s left\n']);
  });

  it('shows how far it is', () => {
    expect(progressBar({ done: 5, total: 10, fraction: 0.5 }, 'files', 100)).toBe(
      `${'█'.repeat(12)}${'░'.repeat(12)} 5 of 10 files · 50 %`,
    );
    expect(progressText({ done: 3_000, total: null, fraction: 0.01, note: '2 refused' }, 'tasks', 1_500)).toBe(
      '3,000 tasks · 1 % · 2,000/s · 2 refused',
    );
  });
});
