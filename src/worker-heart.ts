/*
 * The entry of a worker's heartbeat thread: a store connection and keys of its own, and the same heart as elsewhere.
 */
import { parentPort, workerData } from 'node:worker_threads';
import type { Config } from './config/load.ts';
import { keyRing } from './message/keys.ts';
import { makeStore } from './open-store.ts';
import { systemRuntime } from './runtime/system-runtime.ts';
import type { HeartSettings } from './worker/heart.ts';
import { startHeartbeatLoop } from './worker/heartbeat-loop.ts';
import { hostHeart } from './worker/heartbeat-thread.ts';

export interface HeartThreadData {
  config: Config;
  settings: HeartSettings;
}

const { config, settings } = workerData as HeartThreadData;
if (!parentPort || !config.keys) throw new Error('the heartbeat thread needs its parent and keys');
const store = await makeStore(config, systemRuntime);
// The connection is made by the first call; a store that is away is what the heart itself deals with.
const keys = keyRing(config.keys.generations);
const ports = { store, keys, runtime: systemRuntime };
hostHeart(parentPort, startHeartbeatLoop(settings, ports), () => store.close());
