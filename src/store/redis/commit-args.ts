/*
 * Lays a commit out for `commit.lua`, whose header says why it looks like this. Everything is flat text; unit numbers go
 * along in lists that the script reads only when a unit did not win.
 */
import { AgentSystemError } from '../../errors.ts';
import { blockOf } from '../../task/id.ts';
import { type PayloadPart, parseRef } from '../../task/payload.ts';
import {
  type Commit,
  type CursorMove,
  type IndexChange,
  type KeptResult,
  type Post,
  type Release,
  UNITS_MAX,
  type Unit,
  versionAfter,
} from '../store.ts';
import { letterOf, metaOf } from './records.ts';

const TEXT_BYTES_MAX = 4_096;

/** True when the commit brings new records, which a Redis out of memory refuses. */
export function creates({ units }: Commit): boolean {
  return units.some((unit) => unit.expect === 0 && !unit.repair && !unit.remove);
}

export function commitArgs(commit: Commit): string[] {
  const { op, units, epoch = '', cursor, post = [], release = [], quarantine = [] } = commit;
  if (units.length > UNITS_MAX) {
    const message = `commit ${op} has ${units.length} units, at most ${UNITS_MAX} are written at once: split it`;
    throw new AgentSystemError('COMMIT_TOO_LARGE', message);
  }
  const rounds: string[] = [];
  const order: number[] = [];
  const count = pushRounds(rounds, order, units, op);
  const args = [op, epoch, cursor?.from ?? '', String(units.length), listOf(order), String(count)];
  for (const text of rounds) args.push(text);
  pushEvents(args, units);
  pushCursor(args, cursor);
  args.push(String(post.length));
  for (const one of post) pushPost(args, one, units);
  args.push(String(release.length));
  for (const one of release) pushRelease(args, one);
  args.push(String(quarantine.length));
  for (const { stream, entry, reason, text } of quarantine) args.push(stream, entry, reason, beginningOf(text));
  return args;
}

/** As many whole characters as fit into 4 KiB. */
export function beginningOf(text: string): string {
  if (text.length * 3 <= TEXT_BYTES_MAX) return text;
  return text.slice(0, new TextEncoder().encodeInto(text, new Uint8Array(TEXT_BYTES_MAX)).read);
}

/** '' stands for 0, 1, 2, …, which is what most lists are. */
function listOf(numbers: readonly (number | string)[]): string {
  return numbers.every((number, at) => number === at) ? '' : numbers.join(',');
}

/**
 * Units of one round are decided before any of them is written, and their index changes come after all of them; so a
 * round ends where a unit could see the effect of one before it: the same record, the same unique key, or a repair, which
 * looks at indexes.
 */
function pushRounds(args: string[], order: number[], units: readonly Unit[], op: string): number {
  let rounds = 0;
  for (let from = 0; from < units.length; rounds++) {
    const to = endOfRound(units, from);
    if (units[from]!.repair) pushRepairs(args, order, units, from, to);
    else pushWrites(args, order, units, from, to, op);
    from = to;
  }
  return rounds;
}

function endOfRound(units: readonly Unit[], from: number): number {
  const repair = units[from]!.repair === true;
  const ids = new Set<string>();
  const keys = new Set<string>();
  for (let at = from; at < units.length; at++) {
    const { id, unique } = units[at]!;
    if ((units[at]!.repair === true) !== repair || ids.has(id) || (unique && keys.has(unique.key))) return at;
    ids.add(id);
    if (unique) keys.add(unique.key);
  }
  return units.length;
}

/** Units that expect the same version, enter the same state and bring the same parts, by block. */
interface UnitClass {
  unit: Unit;
  parts: string;
  /** A letter for each text that waits under a key of its own. */
  large: string;
  runs: Map<string, number[]>;
}

function pushWrites(
  args: string[],
  order: number[],
  units: readonly Unit[],
  from: number,
  to: number,
  op: string,
): void {
  const classes = classesOf(units, from, to, op);
  args.push('W', String(classes.size));
  for (const { unit, parts, large, runs } of classes.values()) {
    const { expect, state, token = '', unique } = unit;
    const meta = metaOf(versionAfter(unit), state, op);
    args.push(expect === 0 ? '' : `${expect} `, meta, parts, token, unique ? '1' : '0', large, String(runs.size));
    for (const [block, places] of runs) {
      args.push(block, String(places.length));
      for (const at of places) {
        order.push(at);
        pushUnit(args, units[at]!, parts);
        for (const waiting of large ? largeTexts(units[at]!, op, at) : []) pushLarge(args, waiting);
      }
    }
  }
  const groups = groupsOf(units, from, to);
  args.push(String(groups.length));
  for (const { verb, lane, name, values, places } of groups) {
    args.push(verb, lane ? 'l' : 'i', name, String(places.length), listOf(places));
    for (const value of values) args.push(value);
  }
}

function classesOf(units: readonly Unit[], from: number, to: number, op: string): Map<string, UnitClass> {
  const classes = new Map<string, UnitClass>();
  for (let at = from; at < to; at++) {
    const unit = units[at]!;
    const parts = writtenParts(unit);
    const large = unit.large || unit.adopt ? lettersOf(largeTexts(unit, op, at)) : '';
    const what = `${unit.state} ${parts} ${large} ${unit.unique ? 'u' : ''}`;
    const name = `${unit.expect} ${versionAfter(unit)} ${what} ${unit.token ?? ''}`;
    let found = classes.get(name);
    if (!found) {
      found = { unit, parts, large, runs: new Map() };
      classes.set(name, found);
    }
    const block = blockOf(unit.id);
    const places = found.runs.get(block);
    if (places) places.push(at);
    else found.runs.set(block, [at]);
  }
  return classes;
}

/** A letter for each text that is written; `R` at the end takes the result away, `D` alone the record. */
function writtenParts(unit: Unit): string {
  if (unit.remove) return 'D';
  let parts = '';
  if (unit.spec !== undefined) parts += 's';
  if (unit.input !== undefined) parts += 'i';
  if (unit.trail !== undefined) parts += 't';
  if (unit.result === null) return `${parts}R`;
  return unit.result === undefined ? parts : `${parts}r`;
}

function pushUnit(args: string[], unit: Unit, parts: string): void {
  const { id, spec, input, trail, result, unique } = unit;
  args.push(id.slice(blockOf(id).length));
  if (parts !== 'D') {
    if (spec !== undefined) args.push(spec);
    if (input !== undefined) args.push(input);
    if (trail !== undefined) args.push(trail);
    if (result !== undefined && result !== null) args.push(result);
  }
  if (unique) args.push(unique.key, unique.digest, String(Math.max(1, Math.round(unique.ttlMs))));
}

/** A large text that waits in the store for the commit, under `out:` and this name. */
export interface WaitingText {
  part: PayloadPart;
  name: string;
  bytes: number;
  /** Absent: its worker has put it there. */
  text?: string;
}

/** @param at the unit's place in the commit */
export function largeTexts(
  { id, input, result, large, adopt, remove, repair }: Unit,
  op: string,
  at: number,
): WaitingText[] {
  const waiting: WaitingText[] = [];
  if (remove || repair) return waiting;
  const add = (part: PayloadPart, payload: string | null | undefined, name: string, text?: string) => {
    const bytes = parseRef(payload ?? '')?.bytes;
    if (bytes === undefined)
      throw new AgentSystemError('REFERENCE_MISSING', `the ${part} of task ${id} is no reference`);
    waiting.push(text === undefined ? { part, name, bytes } : { part, name, bytes, text });
  };
  if (large?.input !== undefined) add('input', input, `${op}:${at}:i`, large.input);
  if (large?.result !== undefined) add('result', result, `${op}:${at}:r`, large.result);
  else if (adopt) add('result', result, keptName(adopt));
  return waiting;
}

/** Operations have no `@`, so they never meet the name of what a worker keeps. */
export function keptName({ holder, attemptId }: KeptResult): string {
  return `${holder}:${attemptId}`;
}

function lettersOf(waiting: readonly WaitingText[]): string {
  return waiting.map(({ part }) => part[0]).join('');
}

function pushLarge(args: string[], { name, bytes }: WaitingText): void {
  args.push(name, String(bytes));
}

/** Changes that go out as the values of one command. */
interface Group {
  verb: 'a' | 'r' | 'm';
  lane: boolean;
  name: string;
  values: string[];
  members: string[];
  /** Numbers of units; several joined by `+` bring one and the same entry. */
  places: (number | string)[];
}

const VERBS = { add: 'a', remove: 'r', min: 'm' } as const;

/**
 * Groups by index and verb. Changes of different entries may change places, those of one entry may not: a change that
 * meets its entry in a group of another verb begins new groups for that index.
 */
function groupsOf(units: readonly Unit[], from: number, to: number): Group[] {
  const groups: Group[] = [];
  const open = new Map<string, Group[]>();
  for (let at = from; at < to; at++) {
    const { id, indexes } = units[at]!;
    for (const change of indexes) {
      const lane = 'lane' in change;
      const name = lane ? change.lane : change.index;
      const member = lane ? id : change.member;
      const verb = VERBS[change.do];
      const place = lane ? `l${name}` : name;
      let standing = open.get(place);
      if (!standing || standing.some((group) => group.verb !== verb && group.members.includes(member))) {
        standing = [];
        open.set(place, standing);
      }
      let group = standing.find((one) => one.verb === verb);
      if (!group) {
        group = { verb, lane, name, values: [], members: [], places: [] };
        standing.push(group);
        groups.push(group);
      }
      if (verb === 'm' && joins(group, at, scoreText(change), member)) continue;
      group.places.push(at);
      group.members.push(member);
      if (verb !== 'r') group.values.push(scoreText(change));
      group.values.push(member);
    }
  }
  return groups;
}

/** Tasks that end together mostly bring the same entry: their block, at one time. */
function joins(group: Group, at: number, score: string, member: string): boolean {
  const same = group.members.indexOf(member);
  if (same < 0 || group.values[2 * same] !== score) return false;
  group.places[same] = `${group.places[same]}+${at}`;
  return true;
}

/** Redis would refuse another score in the middle of the script, with half of the commit written. */
function scoreText({ score }: IndexChange): string {
  if (Number.isFinite(score)) return String(score);
  throw new AgentSystemError('SCORE_IMPOSSIBLE', `an index entry has the score ${score}, wanted a finite number`);
}

function pushRepairs(args: string[], order: number[], units: readonly Unit[], from: number, to: number): void {
  args.push('R', String(to - from));
  for (let at = from; at < to; at++) {
    const { id, expect, state, reseal = '', indexes } = units[at]!;
    const block = blockOf(id);
    const stands = expect === 0 ? '' : `${expect} ${letterOf(state)} `;
    order.push(at);
    args.push(block, id.slice(block.length), stands, reseal, String(indexes.length));
    for (const change of indexes) {
      const lane = 'lane' in change;
      args.push(VERBS[change.do], lane ? 'l' : 'i', lane ? change.lane : change.index, scoreText(change));
      args.push(lane ? id : change.member);
    }
  }
}

function pushEvents(args: string[], units: readonly Unit[]): void {
  const places: number[] = [];
  let events = '';
  for (const [at, unit] of units.entries()) {
    if (unit.repair || unit.remove) continue;
    places.push(at);
    events += `${events && ';'}${unit.id} ${versionAfter(unit)} ${unit.state}`;
  }
  args.push(listOf(places), events);
}

function pushCursor(args: string[], cursor: CursorMove | undefined): void {
  const entries = cursor?.entries ?? [];
  args.push(entries.at(-1)?.id ?? cursor?.from ?? '');
  args.push(entries.map(({ id, units }) => `${id}:${units.join(',')}`).join(';'));
}

function pushPost(args: string[], { holder, envelope, units: places }: Post, units: readonly Unit[]): void {
  args.push(holder, envelope, listOf(places), places.map((at) => units[at]!.id).join(' '));
}

function pushRelease(args: string[], { holder, attempts }: Release): void {
  const free = attempts.every(({ unit }) => unit === undefined);
  args.push(holder, String(attempts.length), free ? '' : attempts.map(({ unit }) => unit ?? '-').join(','));
  for (const { held } of attempts) args.push(held);
}
