import { type Grouping, maskOf } from '@dgconv/core';
import { maskPicture } from './mask-picture.js';
import { escapeHtml } from './page.js';
import type { LayerRecord } from './report-data.js';

/** The order of a grouping's channels in which its blocks are contiguous. */
function blockOrder(grouping: Grouping): { outputs: readonly number[]; inputs: readonly number[] } | null {
  switch (grouping.kind) {
    case 'equal':
      return { outputs: grouping.outputOrder, inputs: grouping.inputOrder };
    case 'unequal':
      return {
        outputs: grouping.blocks.flatMap(({ outputs }) => outputs),
        inputs: grouping.blocks.flatMap(({ inputs }) => inputs),
      };
    case 'dense':
    case 'shared-inputs':
    case 'shared-outputs':
    case 'unstructured':
      return null;
  }
}

/** A layer's mask as it is, and beside it in the order of its groups, where it has one. */
export function maskPair({
  name,
  channelsIn,
  channelsOut,
  grouping,
}: Pick<LayerRecord, 'name' | 'channelsIn' | 'channelsOut' | 'grouping'>): string {
  const mask = maskOf(grouping);
  const order = blockOrder(grouping);
  const label = escapeHtml(name);
  const pictures = [maskPicture(mask, `mask of ${label} as learned`)];
  if (order)
    pictures.push(
      maskPicture(mask.reorder(order.outputs, order.inputs), `mask of ${label} in the order of its groups`),
    );
  const groups =
    grouping.kind === 'equal'
      ? `${grouping.groups} groups of ${channelsIn / grouping.groups}`
      : `${grouping.kind}, groups: ${grouping.groups}`;
  return `<figure><figcaption><b>${label}</b> <span class="muted">${channelsIn}→${channelsOut}, ${groups}</span></figcaption><div>${pictures.join('')}</div></figure>`;
}
