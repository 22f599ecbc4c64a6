import type { Grouping, NetworkCost } from '@dgconv/core';

/** One convolution or dense layer before and after compilation. */
export interface LayerReport {
  readonly name: string;
  readonly grouping: Grouping['kind'];
  readonly groups: number;
  readonly channelsIn: number;
  readonly channelsOut: number;
  /** Multiply-adds for batch 1 as imported: a masked or learned kernel counts as dense. */
  readonly macsBefore: number;
  /** Multiply-adds for batch 1 once the groups are explicit, before a target merges any. */
  readonly macsAfter: number;
}

/**
 * The layers of a network before and after its groups became explicit, in its order.
 * @param after - of the same network after phase 3; a layer that is gone there costs nothing any more.
 */
export function layerReports(before: NetworkCost, after: NetworkCost): LayerReport[] {
  const results = new Map(after.layers.map((layer) => [layer.name, layer]));
  return before.layers.map(({ name, channelsIn, channelsOut, macs }) => {
    const result = results.get(name);
    return {
      name,
      grouping: groupingKind(result?.grouping ?? 'dense'),
      groups: result?.groups ?? 1,
      channelsIn: result?.channelsIn ?? channelsIn,
      channelsOut: result?.channelsOut ?? channelsOut,
      macsBefore: macs,
      macsAfter: result?.macs ?? 0,
    };
  });
}

function groupingKind(kind: NetworkCost['layers'][number]['grouping']): Grouping['kind'] {
  if (kind === 'masked' || kind === 'dgconv' || kind === 'flgc' || kind === 'condense') {
    throw new Error(`internal: a ${kind} layer is left after its groups became explicit`);
  }
  return kind;
}
