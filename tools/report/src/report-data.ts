import type { Grouping } from '@dgconv/core';

/** One epoch of `metrics.jsonl`. Accuracies in [0, 1]; a field that the run did not measure is absent. */
export interface EpochRecord {
  readonly epoch: number;
  readonly loss: number;
  readonly validationAccuracy?: number;
  readonly trainAccuracy?: number;
  readonly testAccuracy?: number;
  /** Connections over all learned layers, ζ. */
  readonly zeta: number;
}

/** Gate values at one moment of training, by layer, as in `gates.jsonl`. */
export interface GateSnapshot {
  readonly step: number;
  readonly zeta: number;
  readonly gates: Readonly<Record<string, readonly number[]>>;
}

/** One convolution, as learned. */
export interface LayerRecord {
  readonly name: string;
  readonly channelsIn: number;
  readonly channelsOut: number;
  readonly grouping: Grouping;
  /** Groups of the hand-made network that this one is compared with. */
  readonly fixedGroups?: number;
  readonly macsBefore: number;
  readonly macsAfter: number;
}

/** A pair of numbers, before and after compilation. */
export interface Change {
  readonly before: number;
  readonly after: number;
}

/** A timed runtime: medians and spread in milliseconds. */
export interface LatencyRecord {
  readonly name: string;
  readonly runtime: string;
  readonly medianMs: number;
  readonly minMs: number;
  readonly maxMs: number;
}

/** One artefact in one runtime against the reference. */
export interface EquivalenceRecord {
  readonly artifact: string;
  readonly runtime: string;
  readonly maxAbsError?: number;
  readonly maxRelError?: number;
  readonly tolerance?: number;
  readonly ok: boolean;
  readonly skipped?: string;
}

/** What training had to stay within: connections (`b`, `zeta`), or the network's `macs`, `params` or `ms`. */
export interface Budget {
  readonly kind: string;
  /** What the saved model has, in the unit of the kind. */
  readonly cost: number;
  readonly limit: number;
}

/** Everything that a report of a run shows; what is absent is left out of the page. */
export interface RunReportData {
  readonly title: string;
  /** The command line that made the run. */
  readonly command: string;
  /** CPU, versions, backend: one line each. */
  readonly environment: readonly string[];
  readonly budget: Budget | null;
  readonly zeta: number;
  readonly testAccuracy?: number;
  readonly epochs: readonly EpochRecord[];
  readonly gateHistory: readonly GateSnapshot[];
  readonly layers: readonly LayerRecord[];
  readonly macs?: Change;
  readonly params?: Change;
  /** File sizes in bytes, by format. */
  readonly files: readonly { readonly format: string; readonly bytes: number }[];
  readonly latency: readonly LatencyRecord[];
  readonly equivalence: readonly EquivalenceRecord[];
}
