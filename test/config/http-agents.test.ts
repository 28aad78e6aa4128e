import { describe, expect, it } from 'vitest';
import { filesOf, GOOD_SECRET, load, problemsOf } from './builders.ts';

describe('HTTP agents', () => {
  it('are read with their secret and their allow list', () => {
    const config = load({
      HTTP_AGENTS: 'ocr=http://127.0.0.1:9000/run/, translate.de=https://agents.example/de?v=2',
      HTTP_AGENT_SECRET: GOOD_SECRET,
      HTTP_AGENT_ALLOW: '127.0.0.1:9000, agents.internal, 10.0.0.0/8, [::1]:9000',
    });
    expect(config.work.http).toEqual({
      urls: { ocr: 'http://127.0.0.1:9000/run/', 'translate.de': 'https://agents.example/de?v=2' },
      secret: GOOD_SECRET,
      allow: ['127.0.0.1:9000', 'agents.internal', '10.0.0.0/8', '[::1]:9000'],
    });
    expect(config.warnings).toEqual([]);
  });

  it('are told that nobody can know who calls without a secret', () => {
    expect(load({ HTTP_AGENTS: 'ocr=http://x/' }).warnings).toEqual([
      expect.stringContaining('HTTP_AGENTS is set without HTTP_AGENT_SECRET'),
    ]);
  });

  it('may have their secret in a file', () => {
    const env = { HTTP_AGENTS: 'ocr=http://x/', HTTP_AGENT_SECRET_FILE: '/run/secret' };
    const readFile = filesOf({ '/run/secret': `${GOOD_SECRET}\n` });
    expect(load(env, { readFile }).work.http.secret).toBe(GOOD_SECRET);
  });

  it.each(['ocr', 'ocr=ftp://x/', 'OCR=http://x/', 'ocr=http://x/,ocr=http://y/', 'ocr=http://u:p@x/', 'ocr=x:9000'])(
    'are refused as %s, with what is wanted',
    (HTTP_AGENTS) => {
      expect(problemsOf({ HTTP_AGENTS })).toEqual([
        expect.stringMatching(/^HTTP_AGENTS is ".*", wanted at most 64 pairs name=url .*such as ocr=/),
      ]);
    },
  );

  it.each(['10.0.0.1/8', 'http://x', 'a b', 'host:99999'])('are refused the allow list %s', (HTTP_AGENT_ALLOW) => {
    expect(problemsOf({ HTTP_AGENT_ALLOW })).toEqual([expect.stringContaining('HTTP_AGENT_ALLOW is ')]);
  });

  it('are refused a short secret, which is not shown', () => {
    const [problem, ...more] = problemsOf({ HTTP_AGENT_SECRET: 'k7Jw2mQx9vB4nR8' });
    expect(problem).toBe(
      'HTTP_AGENT_SECRET is not shown, wanted at least 32 bytes; make one with: openssl rand -base64 48',
    );
    expect(more).toEqual([]);
  });
});
