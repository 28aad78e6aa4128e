/** The table of settings for people. A test compares `.env.example` and the README with what is printed here. */
import { SETTING_GROUPS, type Setting } from './schema.ts';

const LEAD = `# Settings of agent-system. Copy this file to .env and take away the # of what you change.
# The process environment wins over .env; an empty value counts as unset. Durations are 250ms, 30s, 5m, 1h, 7d.
# Every setting marked "secret" may also be given as NAME_FILE, the path of a file that holds it.
`;

export function renderEnvExample(): string {
  const groups = SETTING_GROUPS.map(({ title, settings }) => {
    const lines = Object.entries(settings).map(([name, setting]) => envLines(name, setting));
    return `\n# == ${title}\n${lines.join('')}`;
  });
  return LEAD + groups.join('');
}

/** One Markdown table, to stand between the README's markers. */
export function renderSettingsTable(): string {
  const rows = SETTING_GROUPS.flatMap(({ title, settings }) => [
    `| **${title}** | | | |`,
    ...Object.entries(settings).map(([name, setting]) => row(name, setting)),
  ]);
  return `${['| Name | Type | Default | What it does |', '|---|---|---|---|', ...rows].join('\n')}\n`;
}

function envLines(name: string, setting: Setting<unknown>): string {
  return `# ${setting.about.replaceAll('`', '')} (${kindOf(setting)})\n#${name}=${setting.default ?? ''}\n`;
}

function row(name: string, setting: Setting<unknown>): string {
  const byDefault = setting.default === null ? '–' : `\`${setting.default}\``;
  return `| \`${name}\` | ${kindOf(setting)} | ${byDefault} | ${setting.about} |`;
}

function kindOf({ kind, secret }: Setting<unknown>): string {
  return secret ? 'secret' : kind.name;
}
