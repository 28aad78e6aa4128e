import { readFileSync, writeFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { renderSettingsTable } from '../../src/config/render.ts';
import { README } from './readme-blocks.ts';

const OPEN =
  '<!-- settings: printed from src/config/schema.ts; `UPDATE_DOCS=1 npx vitest run test/docs` rewrites it -->\n';
const CLOSE = '<!-- /settings -->';

test('the README lists every setting as the schema says', () => {
  const text = readFileSync(README, 'utf8');
  const from = text.indexOf(OPEN) + OPEN.length;
  const to = text.indexOf(CLOSE);
  expect(from).toBeGreaterThan(OPEN.length);
  if (process.env.UPDATE_DOCS) writeFileSync(README, text.slice(0, from) + renderSettingsTable() + text.slice(to));
  else expect(text.slice(from, to)).toBe(renderSettingsTable());
});

test('the README holds the two lines that set everything up', () => {
  const text = readFileSync(README, 'utf8');
  expect(text).toContain('npm ci && npx agent-system demo');
  expect(text).toContain('npm ci && npm test');
});
