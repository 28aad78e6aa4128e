import { editDistance } from '../runtime/near-names.ts';
import { NOT_YET_SUPPORTED, SETTINGS, type SettingName } from './schema.ts';

/**
 * One warning for each name in the environment that is none of ours but nearly: a mistyped setting would otherwise be
 * its default without a word. A warning only, for the environment belongs to other programs too.
 */
export function lookalikeWarnings(names: readonly string[]): string[] {
  const warnings: string[] = [];
  for (const name of names) {
    if (isKnown(name)) continue;
    const near = nearestSetting(name);
    if (near) warnings.push(`${name} is not a setting of agent-system and has no effect: did you mean ${near}?`);
    else if (name.endsWith('_FILE') && Object.hasOwn(SETTINGS, name.slice(0, -5)))
      warnings.push(`${name} has no effect: only secrets are read from files, set ${name.slice(0, -5)} itself`);
  }
  return warnings.sort();
}

function isKnown(name: string): boolean {
  if (Object.hasOwn(SETTINGS, name) || NOT_YET_SUPPORTED.includes(name)) return true;
  const base = name.endsWith('_FILE') ? name.slice(0, -5) : '';
  return Object.hasOwn(SETTINGS, base) && SETTINGS[base as SettingName].secret;
}

/** Names shorter than this are near to too much that is not ours: HOST to HOME, POST, … */
const LENGTH_MIN = 6;

function nearestSetting(name: string): string | undefined {
  const upper = name.toUpperCase();
  if (upper.length < LENGTH_MIN || upper.length > 40) return undefined;
  let best: { name: string; distance: number } | undefined;
  for (const known of [...Object.keys(SETTINGS), ...NOT_YET_SUPPORTED]) {
    if (known.length < LENGTH_MIN || Math.abs(known.length - upper.length) > 2) continue;
    const distance = editDistance(upper, known);
    if (distance <= (known.length < 9 ? 1 : 2) && distance < (best?.distance ?? 3)) best = { name: known, distance };
  }
  return best?.name;
}
