// Runs a script of this folder that is written in TypeScript on any Node: `node test/bench/run.mjs first-figure`.
import { fileURLToPath } from 'node:url';
import { runnerImport } from 'vite';

const [name, ...rest] = process.argv.slice(2);
process.argv = [process.argv[0], name, ...rest];
await runnerImport(fileURLToPath(new URL(`./${name}.ts`, import.meta.url)), { configFile: false, logLevel: 'error' });
