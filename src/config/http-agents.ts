import { ALLOW_ENTRY_WANTED, parseAllowEntry } from '../net/address-guard.ts';
import { SIGNING_SECRET_BYTES_MIN } from '../net/request-signature.ts';
import { type Kind, list, pairs } from './parse.ts';

const ENTRIES_MAX = 256;
/** As `defineAgent` wants it. */
const AGENT_NAME = /^[a-z0-9][a-z0-9._-]{0,63}$/;

const urlOfAgent = { name: 'url', read: (text: string) => (isAgentUrl(text) ? text : undefined) };
const urlPairs = pairs(urlOfAgent);
const entries = list(ENTRIES_MAX);

/** The URL is kept as it is written: a slash at its end may matter to whoever listens there. */
export const httpAgents: Kind<Record<string, string>> = {
  name: 'pairs',
  wanted: `${urlPairs.wanted}: names in lower case, http or https URLs without user and password, such as ocr=http://127.0.0.1:9000/`,
  read: (text) => {
    const agents = urlPairs.read(text);
    return agents && Object.keys(agents).every((name) => AGENT_NAME.test(name)) ? agents : undefined;
  },
};

export const allowList: Kind<string[]> = {
  name: 'list',
  wanted: `at most ${ENTRIES_MAX} values with commas between them, each ${ALLOW_ENTRY_WANTED}`,
  read: (text) => {
    const found = entries.read(text);
    return found?.every((entry) => parseAllowEntry(entry)) ? found : undefined;
  },
};

export const signingSecret: Kind<string> = {
  name: 'text',
  wanted: `at least ${SIGNING_SECRET_BYTES_MIN} bytes; make one with: openssl rand -base64 48`,
  read: (text) => (Buffer.byteLength(text) >= SIGNING_SECRET_BYTES_MIN ? text : undefined),
};

function isAgentUrl(text: string): boolean {
  if (!/^https?:\/\//.test(text) || !URL.canParse(text)) return false;
  const { username, password } = new URL(text);
  return username === '' && password === '';
}
