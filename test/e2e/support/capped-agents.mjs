// An agent that may run twice at once in the whole system, and leaves a trace like the others.

import { mark } from './agents.mjs';

export const narrow = { ...mark, name: 'narrow', concurrency: 2 };
