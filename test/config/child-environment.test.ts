import { resolve } from 'node:path';
import { describe, expect, it } from 'vitest';
import { childEnvironment } from '../../src/config/child-environment.ts';

describe('childEnvironment', () => {
  it('hands on how Redis is reached, with whole paths, and nothing that is meant for another system', () => {
    const env = {
      PATH: '/bin',
      REDIS_PASSWORD: 'p',
      REDIS_CA_FILE: 'ca.pem',
      ALLOW_UNSAFE_REDIS: '',
      SHARDS: '7',
      AGENTS: 'mine.mjs',
      A2A_TOKEN_SECRET: 's',
      REDIS_URL: 'redis://elsewhere',
    };
    expect(childEnvironment(env)).toEqual({ PATH: '/bin', REDIS_PASSWORD: 'p', REDIS_CA_FILE: resolve('ca.pem') });
  });
});
