/*
 * Counts and measures, for Prometheus. Each system has a registry of its own, so several in one process do not mix;
 * Node's process metrics are the process's and are gathered once for all of them.
 */
import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from 'prom-client';
import type { Runtime } from '../runtime/runtime.ts';
import { systemRuntime } from '../runtime/system-runtime.ts';
import {
  type CounterName,
  type GaugeName,
  type HistogramName,
  type LabelsOf,
  METRICS,
  type MetricName,
} from './metric-table.ts';
import { type WatchedSystem, watchedGauges } from './watched-gauges.ts';

/** Values of one label that are told apart; what comes after them is counted as `other`, so that memory is bounded. */
export const LABEL_VALUES_MAX = 500;
const OTHER = 'other';
/** A source that has not answered by then gives no samples: a scrape must not hang because the store is away. */
const SOURCE_WITHIN_MS = 1_000;

export interface Sample {
  labels: Record<string, string>;
  value: number;
}

/** Asked at each scrape; no samples = the gauge is not shown. */
export type GaugeSource = () => Sample[] | Promise<Sample[]>;

export interface MetricsOptions {
  /** False: the metrics of Redis are left out altogether. */
  redis: boolean;
  runtime?: Runtime;
  /** Told of a source that failed; its gauge has no samples then. */
  onError?: (gauge: string, error: unknown) => void;
}

export function createMetrics(options: MetricsOptions): Metrics {
  return new Metrics(options);
}

export class Metrics {
  readonly #runtime: Runtime;
  readonly #onError: (gauge: string, error: unknown) => void;
  readonly #registry = new Registry();
  readonly #counters = new Map<string, Counter>();
  readonly #gauges = new Map<string, Gauge>();
  readonly #histograms = new Map<string, Histogram>();
  readonly #sources = new Map<string, GaugeSource[]>();
  readonly #labelValues = new Map<string, Set<string>>();
  readonly #connections = new Connections();

  /** What the store tells of its commands and connections. */
  readonly storeHooks = {
    onCommand: (_command: string, seconds: number, { waits }: { waits: boolean }): void => {
      if (!waits) this.observe('redis_command_seconds', {}, seconds);
    },
    onConnection: (change: ConnectionChange): void => {
      this.#connections.changed(change);
      if (change.state === 'reconnected') this.count('redis_reconnects_total', {});
    },
  };

  constructor({ redis, runtime = systemRuntime, onError = () => undefined }: MetricsOptions) {
    this.#runtime = runtime;
    this.#onError = onError;
    for (const name of Object.keys(METRICS) as MetricName[]) {
      if (redis || !name.startsWith('redis_')) this.#add(name);
    }
    if (redis) this.gauges({ redis_connections: () => this.#connections.samples() });
  }

  count<N extends CounterName>(name: N, labels: LabelsOf<N>, by = 1): void {
    this.#counters.get(name)?.inc(this.#bounded(labels), by);
  }

  /** @param seconds a negative one (two clocks that differ) counts as none */
  observe<N extends HistogramName>(name: N, labels: LabelsOf<N>, seconds: number): void {
    this.#histograms.get(name)?.observe(this.#bounded(labels), Math.max(0, seconds));
  }

  /** Adds sources of gauges; the samples of several sources of one gauge stand side by side, equal labels are summed. */
  gauges(sources: Partial<Record<GaugeName, GaugeSource>>): void {
    for (const [name, source] of Object.entries(sources)) {
      this.#sources.set(name, [...(this.#sources.get(name) ?? []), source]);
    }
  }

  /** Adds the gauges that tell how a running system stands. */
  watch(system: WatchedSystem): void {
    this.gauges(watchedGauges(system));
  }

  /** Everything as Prometheus text. */
  async render(): Promise<{ contentType: string; text: string }> {
    const gathered = await Promise.all(
      [...this.#gauges.keys()].map(async (name) => [name, await this.#ask(name)] as const),
    );
    // All at once, after the waiting: two scrapes at a time do not add to each other's samples.
    for (const [name, samples] of gathered) this.#set(this.#gauges.get(name)!, samples);
    const [own, process] = await Promise.all([this.#registry.metrics(), processMetrics().metrics()]);
    return { contentType: this.#registry.contentType, text: `${own}\n${process}` };
  }

  #add(name: MetricName): void {
    const { kind, help, labels } = METRICS[name];
    const common = { name, help, labelNames: [...labels], registers: [this.#registry] };
    if (kind === 'counter') this.#counters.set(name, new Counter(common));
    else if (kind === 'gauge') this.#gauges.set(name, new Gauge(common));
    else this.#histograms.set(name, new Histogram({ ...common, buckets: [...METRICS[name as HistogramName].buckets] }));
  }

  async #ask(name: string): Promise<Sample[]> {
    const answers = (this.#sources.get(name) ?? []).map((source) => this.#askOne(name, source));
    return (await Promise.all(answers)).flat();
  }

  async #askOne(name: string, source: GaugeSource): Promise<Sample[]> {
    let cancel = () => {};
    const late = new Promise<Sample[]>((resolve) => {
      cancel = this.#runtime.after(SOURCE_WITHIN_MS, () => resolve([]));
    });
    try {
      return await Promise.race([source(), late]);
    } catch (error) {
      this.#onError(name, error);
      return [];
    } finally {
      cancel();
    }
  }

  #set(gauge: Gauge, samples: Sample[]): void {
    gauge.reset();
    // A gauge without labels is shown as 0 unless it is removed.
    gauge.remove({});
    for (const { labels, value } of samples) gauge.inc(this.#bounded(labels), value);
  }

  #bounded<L extends Record<string, string>>(labels: L): L {
    let bounded = labels;
    for (const name in labels) {
      if (this.#isKnown(name, labels[name]!)) continue;
      bounded = { ...bounded, [name]: OTHER };
    }
    return bounded;
  }

  #isKnown(label: string, value: string): boolean {
    let values = this.#labelValues.get(label);
    if (!values) {
      values = new Set();
      this.#labelValues.set(label, values);
    }
    if (values.has(value)) return true;
    if (values.size >= LABEL_VALUES_MAX) return false;
    values.add(value);
    return true;
  }
}

export interface ConnectionChange {
  purpose: string;
  state: 'connected' | 'lost' | 'reconnected';
}

/** How many connections of each purpose are up and how many are lost. */
class Connections {
  readonly #byPurpose = new Map<string, { connected: number; lost: number }>();

  changed({ purpose, state }: ConnectionChange): void {
    const counts = this.#byPurpose.get(purpose) ?? { connected: 0, lost: 0 };
    this.#byPurpose.set(purpose, counts);
    if (state === 'lost') {
      counts.connected = Math.max(0, counts.connected - 1);
      counts.lost += 1;
    } else {
      if (state === 'reconnected') counts.lost = Math.max(0, counts.lost - 1);
      counts.connected += 1;
    }
  }

  samples(): Sample[] {
    return [...this.#byPurpose].flatMap(([purpose, counts]) =>
      (['connected', 'lost'] as const).map((state) => ({ labels: { purpose, state }, value: counts[state] })),
    );
  }
}

let ofProcess: Registry | undefined;

/** Made on the first scrape: it watches the garbage collector and the event loop from then on. */
function processMetrics(): Registry {
  if (!ofProcess) {
    ofProcess = new Registry();
    collectDefaultMetrics({ register: ofProcess });
  }
  return ofProcess;
}
