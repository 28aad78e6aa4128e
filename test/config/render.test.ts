import { describe, expect, it } from 'vitest';
import { parseDotenv } from '../../src/config/dotenv.ts';
import { renderEnvExample, renderSettingsTable } from '../../src/config/render.ts';
import { SETTINGS } from '../../src/config/schema.ts';
import { load, problemsOf } from './builders.ts';

const NAMES = Object.keys(SETTINGS);

describe('renderEnvExample', () => {
  it('is what .env.example says (vitest -u writes it anew)', async () => {
    await expect(renderEnvExample()).toMatchFileSnapshot('../../.env.example');
  });

  it('holds every setting once, and changes nothing when every line is switched on', () => {
    const on = renderEnvExample().replace(/^#(?=[A-Z])/gm, '');
    const { values, problems } = parseDotenv(on);
    expect(problems).toEqual([]);
    expect(Object.keys(values)).toEqual(NAMES);
    expect(problemsOf({}, { dotenvText: on })).toEqual([]);
    expect({ ...load({}, { dotenvText: on }), portIsDefault: true }).toEqual(load({}));
  });
});

describe('renderSettingsTable', () => {
  it('has one row of four cells for every setting', () => {
    const rows = renderSettingsTable().trimEnd().split('\n');
    expect(rows.every((row) => row.split('|').length === 6)).toBe(true);
    for (const name of NAMES) expect(rows.filter((row) => row.startsWith(`| \`${name}\` |`))).toHaveLength(1);
  });
});

describe('the schema', () => {
  it.each(NAMES)('has a default that %s itself accepts, and a sentence', (name) => {
    const setting = SETTINGS[name as keyof typeof SETTINGS];
    if (setting.default !== null) expect(setting.kind.read(setting.default)).toBeDefined();
    expect(setting.about).toMatch(/^(?!.*\n).{15,}\.$/);
  });
});
