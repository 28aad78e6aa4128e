import { createHash } from 'node:crypto';
import { beforeAll, describe, expect, it } from 'vitest';
import { keyRing, keyRingFromSecret } from '../../src/message/keys.ts';
import { heldGenerations } from '../../src/message/rotating-key-ring.ts';
import { macOf } from '../../src/message/signature.ts';
import { deriveWorkerKey } from '../../src/message/worker-key.ts';
import { verifySnapshot } from '../../src/snapshot/read.ts';
import { anId } from '../support/builders.ts';
import { aSealedTask, bytesOf, keys, memoryStore, put, restoreInto, snapshotOf, tasksIn } from './world.ts';

const OURS = 'the-secret-of-the-snapshot-tests-0123456789';
let taken = '';
let lines: string[] = [];

beforeAll(async () => {
  const store = memoryStore();
  await put(store, [aSealedTask(), aSealedTask({ state: 'completed' }), aSealedTask({ state: 'running' })]);
  taken = await snapshotOf(store);
  lines = taken.trimEnd().split('\n');
});

/** Line numbers from 1: header, three tasks, cut, end. */
type Edit = (lines: string[]) => string[] | string | Buffer;

const edited = (number: number, change: (line: Record<string, unknown>) => unknown): Edit => {
  return (all) => all.map((line, at) => (at === number - 1 ? JSON.stringify(change(JSON.parse(line))) : line));
};

/** Everything that is not secret put right again, as whoever edits a file on purpose would. */
const signedAnew = (edit: Edit, secret: string, kid = 'root'): Edit => {
  return (all) => {
    const body = (edit(all) as string[]).slice(0, -1);
    const { counts, digest } = JSON.parse(all.at(-1)!);
    const sha256 = createHash('sha256')
      .update(body.map((line) => `${line}\n`).join(''))
      .digest('hex');
    const end = { type: 'end', counts, digest, sha256, key: kid };
    const key = keyRingFromSecret(secret, kid).signingKey('snapshot');
    return [...body, JSON.stringify({ ...end, signature: macOf(key.secret, JSON.stringify(end)) })];
  };
};

const REFUSED: [what: string, edit: Edit, why: string][] = [
  ['an empty file', () => '', 'line 1 is missing: the file is empty'],
  ['what is no snapshot', () => '{"a":1}\n', 'line 1 is not the header of a snapshot'],
  ['what is no JSON', () => 'PK\u0003\u0004 a zip\n', 'line 1 is not JSON: PK'],
  [
    'a newer format',
    edited(1, (line) => ({ ...line, format: 2 })),
    'line 1 says format 2, this version reads 1: it was written by a newer version',
  ],
  [
    'a format that never was',
    edited(1, (line) => ({ ...line, format: 'x' })),
    'line 1 says format "x", this version reads 1',
  ],
  ['another schema', edited(1, (line) => ({ ...line, schema: 9 })), 'line 1 says schema 9, this version works with'],
  ['an edited state', edited(2, (line) => ({ ...line, state: 'completed' })), 'line 6 holds the checksum'],
  ['an edited input', edited(3, (line) => ({ ...line, input: '{}' })), 'they were edited'],
  ['an edited count', edited(6, (line) => ({ ...line, counts: { snapshot: 1, task: 2, cut: 1 } })), 'line 6 counts'],
  [
    'an edited digest',
    edited(6, (line) => ({ ...line, digest: 'f'.repeat(64) })),
    'holds a signature that does not fit',
  ],
  [
    'a line taken out',
    (all) => all.filter((_, at) => at !== 1),
    'line 4 tells of 3 tasks in its shard, 2 stand before it',
  ],
  ['lines in another order', (all) => [all[0]!, all[2]!, all[1]!, ...all.slice(3)], 'line 6 holds the checksum'],
  ['a line that stands twice', (all) => [...all.slice(0, 2), all[1]!, ...all.slice(2)], 'a second time'],
  ['a second header', (all) => [all[0]!, ...all], 'line 2 is a second header'],
  [
    'a file cut off between lines',
    (all) => all.slice(0, 4),
    'line 5 is missing: the file was cut off before its end line',
  ],
  ['a file cut off before its cut', (all) => [...all.slice(0, 2), all[5]!], 'line 3 ends it after 0 of 1 shards'],
  [
    'a file cut off within a line',
    (all) => all.join('\n').slice(0, -10),
    'line 6 is not whole: the file was cut off within it',
  ],
  ['something behind the end', (all) => [...all, all[1]!], 'line 7 stands behind the end line'],
  [
    'what is not UTF-8',
    (all) => Buffer.concat([Buffer.from(`${all[0]}\n`), Buffer.from([0x22, 0xff, 0x22, 0x0a])]),
    'line 2 is not valid UTF-8',
  ],
  ['an unknown line', edited(2, () => ({ type: 'surprise' })), 'line 2 is no line of a snapshot: type'],
  ['a task without its trail', edited(2, ({ trail: _, ...line }) => line), 'line 2 is no line of a snapshot: trail'],
  [
    'a task that cannot be read',
    edited(2, (line) => ({ ...line, trail: '{}' })),
    'line 2 holds a task that cannot be read',
  ],
  ['a task of another shard', edited(2, (line) => ({ ...line, id: anId(3) })), 'whose id is of shard 3'],
  [
    'a shard that is not told of',
    edited(2, (line) => ({ ...line, shard: 1 })),
    'line 2 is of shard 1, the header tells of 1',
  ],
  [
    'a foreign signature',
    signedAnew((all) => all, 'the-secret-of-somebody-else-0123456789abc', 'theirs'),
    'is signed with the key "theirs", which is not among the keys here',
  ],
  [
    'a foreign secret of the same name',
    signedAnew((all) => all, 'the-secret-of-somebody-else-0123456789abc'),
    'the key "root" has another secret here',
  ],
  [
    'an edit by whoever holds the key, digest forgotten',
    signedAnew(
      edited(3, (line) => ({ ...line, input: '{}' })),
      OURS,
    ),
    'the state has',
  ],
];

describe('a snapshot is refused', () => {
  it.each(REFUSED)('%s', async (_, edit, why) => {
    const made = edit(lines);
    const bytes = Array.isArray(made) ? Buffer.from(`${made.join('\n')}\n`) : Buffer.from(made as string);
    const store = memoryStore();
    const refusal = { code: 'SNAPSHOT_REFUSED', message: expect.stringContaining(why) };
    await expect(verifySnapshot(bytesOf(bytes), { keys })).rejects.toMatchObject(refusal);
    await expect(restoreInto(store, bytes)).rejects.toMatchObject(refusal);
    expect(tasksIn(await snapshotOf(store))).toEqual([]);
  });

  it('wherever one bit of it is another', async () => {
    const bytes = Buffer.from(taken);
    for (let at = 0; at < bytes.length; at += 37) {
      const flipped = Buffer.from(bytes);
      flipped[at]! ^= 1;
      await expect(verifySnapshot(bytesOf(flipped), { keys })).rejects.toMatchObject({ code: 'SNAPSHOT_REFUSED' });
    }
  });
});

describe('verifying', () => {
  it('says what a snapshot holds', async () => {
    expect(await verifySnapshot(bytesOf(taken, 7), { keys })).toEqual({
      ...{ format: 1, deployment: 'here', shards: 1, version: '1.0.0', key: 'root', signed: true },
      takenAt: expect.stringMatching(/^\d{4}-.*Z$/),
      digest: expect.stringMatching(/^[0-9a-f]{64}$/),
      counts: { snapshot: 1, task: 3, cut: 1 },
      states: { queued: 1, completed: 1, running: 1 },
      seals: { unknownKey: 0, wrong: 0 },
    });
  });

  it('takes every live generation of keys, and says what was sealed with a key that is not here', async () => {
    const newer = { kid: 'k2', secret: 'a-newer-secret-of-the-same-system-0123456789' };
    const both = keyRing([newer, { kid: 'root', secret: OURS }]);
    expect(await verifySnapshot(bytesOf(taken), { keys: both })).toMatchObject({ key: 'root', signed: true });
    const resigned = signedAnew((all) => all, newer.secret, 'k2')(lines) as string[];
    const found = await verifySnapshot(bytesOf(`${resigned.join('\n')}\n`), { keys: keyRing([newer]) });
    expect(found.seals).toEqual({ unknownKey: 3, wrong: 0 });
  });

  it('without keys proves only that it is whole', async () => {
    expect(await verifySnapshot(bytesOf(taken), { keys: null })).toMatchObject({ signed: false });
  });

  it('cannot be done, nor signing, with the key of a worker', () => {
    const worker = deriveWorkerKey('w1', [{ kid: 'root', secret: OURS }]);
    const [held] = heldGenerations({ generations: worker.generations, worker: 'w1' });
    expect(held!.keyFor('snapshot')).toBeUndefined();
  });
});
