import type { Grouping } from '@dgconv/core';
import { applyOrders } from './apply-orders.js';
import { chooseOrders } from './choose-orders.js';
import type { FormCosts } from './form-costs.js';
import { asDense, worthMoving } from './group-costs.js';
import { type AnyOrderOf, contiguousOrders } from './group-orders.js';
import { graphPass, type Pass } from './pass.js';

/**
 * Stores values in the channel orders that put the groups of each convolution side by side; see `chooseOrders` and `applyOrders`.
 * A convolution whose groups would save less than moving its channels costs becomes dense and asks for nothing any more.
 *
 * before: `a = conv2d x {dense}` `b = conv2d a {equal 0 2 | 1 3}` · after, a in the order 0 2 1 3: `b = conv2d a {equal 0 1 | 2 3}`
 * @param anyOrder - sides that ask for no order, because the target gathers and scatters their channels itself.
 */
export function assignChannelOrders(anyOrder: AnyOrderOf, costs: FormCosts): Pass {
  return graphPass('assign-channel-orders', (graph) => {
    const isWorthMoving = worthMoving(graph, costs);
    for (let current = graph; ;) {
      const ordered = applyOrders(current, chooseOrders(current, anyOrder));
      const dropped = new Set<string>();
      const before = new Map(current.nodes.map((node) => [node.id, node]));
      for (const node of ordered.nodes) {
        const source = before.get(node.id);
        if (node.op !== 'conv2d' || source?.op !== 'conv2d') continue;
        const grouping = node.attrs.connectivity as Grouping;
        const orders = contiguousOrders(grouping, anyOrder(node));
        if (orders !== undefined && !isWorthMoving(source, grouping, orders)) dropped.add(node.id);
      }
      if (dropped.size === 0) return ordered;
      current = {
        ...current,
        nodes: current.nodes.map((node) => (node.op === 'conv2d' && dropped.has(node.id) ? asDense(node) : node)),
      };
    }
  });
}
