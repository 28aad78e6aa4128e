/*
 * The entry of a worker's heartbeat thread: a store connection and keys of its own, and the same heart as elsewhere.
 */
import { parentPort, workerData } from 'node:worker_threads';
import type { Config } from './config/load.ts';
import { openKeyRing, watchKeyFile } from './key-file.ts';
import { commandHooks, makeStore } from './open-store.ts';
import { systemRuntime } from './runtime/system-runtime.ts';
import type { HeartSettings } from './worker/heart.ts';
import { startHeartbeatLoop } from './worker/heartbeat-loop.ts';
import { hostHeart, tellParent } from './worker/heartbeat-thread.ts';

export interface HeartThreadData {
  config: Config;
  settings: HeartSettings;
  /** Somebody wants to hear of every command. */
  tellsCommands: boolean;
}

const { config, settings, tellsCommands } = workerData as HeartThreadData;
if (!parentPort || !config.keys) throw new Error('the heartbeat thread needs its parent and keys');
const store = await makeStore(config, systemRuntime, tellsCommands ? commandHooks(tellParent(parentPort)) : {});
// The connection is made by the first call; a store that is away is what the heart itself deals with.
const keys = openKeyRing(config.keys, systemRuntime);
const ended = new AbortController();
// The main thread tells what is found in the file.
void watchKeyFile({ keys: config.keys, ring: keys, runtime: systemRuntime, signal: ended.signal });
const ports = { store, keys, runtime: systemRuntime };
hostHeart(parentPort, startHeartbeatLoop(settings, ports), () => {
  ended.abort();
  return store.close();
});
