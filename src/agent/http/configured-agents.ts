import type { Agent } from '../define-agent.ts';
import { httpAgent } from './http-agent.ts';

/** Written with every character escaped, JSON has three times the bytes of the text it stands for. */
const SPELLING_FACTOR = 3;
const AROUND_RESULT_BYTES = 64 * 1024;

export interface HttpAgentSettings {
  /** URLs by agent name. */
  readonly urls: Readonly<Record<string, string>>;
  readonly secret: string | null;
  readonly allow: readonly string[];
}

/** The agents that `HTTP_AGENTS` names. */
export function configuredHttpAgents({ urls, secret, allow }: HttpAgentSettings, resultBytesMax: number): Agent[] {
  const answerBytesMax = SPELLING_FACTOR * resultBytesMax + AROUND_RESULT_BYTES;
  return Object.entries(urls).map(([name, url]) => httpAgent({ name, url, secret, allow, answerBytesMax }));
}
