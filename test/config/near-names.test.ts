import { describe, expect, it } from 'vitest';
import { lookalikeWarnings } from '../../src/config/near-names.ts';
import { NOT_YET_SUPPORTED, SETTINGS } from '../../src/config/schema.ts';
import { editDistance } from '../../src/runtime/near-names.ts';

describe('lookalikeWarnings', () => {
  it.each([
    ['REDIS_HOTS', 'REDIS_HOST'],
    ['WORKER_SLOT', 'WORKER_SLOTS'],
    ['REDIS_URI', 'REDIS_URL'],
    ['A2A_TOKEN_SECERT', 'A2A_TOKEN_SECRET'],
    ['HEARTBEAT_INTERVALL', 'HEARTBEAT_INTERVAL'],
    ['log_level', 'LOG_LEVEL'],
    ['API_KEYS', 'API_KEY'],
    ['SHARD', undefined],
    ['AGENT', undefined],
  ])('takes %s for %s', (name, near) => {
    const expected = near ? [`${name} is not a setting of agent-system and has no effect: did you mean ${near}?`] : [];
    expect(lookalikeWarnings([name])).toEqual(expected);
  });

  it('is silent about what is set on most machines and by Kubernetes', () => {
    const names =
      'PATH HOME HOSTNAME HOST USER SHELL PWD LANG TERM PORT NODE_ENV LOGNAME HTTP_PROXY NO_PROXY TMPDIR EDITOR ' +
      'KUBERNETES_SERVICE_HOST REDIS_SERVICE_HOST REDIS_SERVICE_PORT REDIS_PORT_6379_TCP REDIS_PORT_6379_TCP_ADDR ' +
      'npm_config_cache OPENAI_API_KEY DATABASE_URL LS_COLORS SSH_AUTH_SOCK POD_NAME';
    expect(lookalikeWarnings(names.split(' '))).toEqual([]);
  });

  it('is silent about every setting, and about files of secrets', () => {
    expect(lookalikeWarnings([...Object.keys(SETTINGS), ...NOT_YET_SUPPORTED])).toEqual([]);
    expect(lookalikeWarnings(['API_KEY_FILE', 'REDIS_PASSWORD_FILE', 'A2A_TOKEN_SECRET_FILE'])).toEqual([]);
  });

  it('says that only secrets come from files', () => {
    expect(lookalikeWarnings(['WORKER_SLOTS_FILE'])).toEqual([
      'WORKER_SLOTS_FILE has no effect: only secrets are read from files, set WORKER_SLOTS itself',
    ]);
  });
});

describe('editDistance', () => {
  it.each([
    ['', 'abc', 3],
    ['abc', 'abc', 0],
    ['abc', 'acb', 1],
    ['kitten', 'sitting', 3],
    ['ab', 'ba', 1],
  ])('of %s and %s', (a, b, distance) => {
    expect(editDistance(a, b)).toBe(distance);
  });
});
