import type { Grouping } from '@dgconv/core';
import { applyOrders } from './apply-orders.js';
import { chooseOrders } from './choose-orders.js';
import { graphPass, type Pass } from './pass.js';

/**
 * Stores values in the channel orders that put the groups of each convolution side by side; see `chooseOrders` and `applyOrders`.
 *
 * before: `a = conv2d x {dense}` `b = conv2d a {equal 0 2 | 1 3}` · after, a in the order 0 2 1 3: `b = conv2d a {equal 0 1 | 2 3}`
 * @param anywhere - kinds of groupings that ask for no order, because the target gathers and scatters their channels itself.
 */
export function assignChannelOrders(anywhere: ReadonlySet<Grouping['kind']>): Pass {
  return graphPass('assign-channel-orders', (graph) => applyOrders(graph, chooseOrders(graph, anywhere)));
}
