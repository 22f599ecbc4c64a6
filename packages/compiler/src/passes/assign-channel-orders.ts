import { applyOrders } from './apply-orders.js';
import { chooseOrders } from './choose-orders.js';
import { graphPass } from './pass.js';

/**
 * Stores values in the channel orders that put the groups of each convolution side by side; see `chooseOrders` and `applyOrders`.
 *
 * before: `a = conv2d x {dense}` `b = conv2d a {equal 0 2 | 1 3}` · after, a in the order 0 2 1 3: `b = conv2d a {equal 0 1 | 2 3}`
 */
export const assignChannelOrders = graphPass('assign-channel-orders', (graph) =>
  applyOrders(graph, chooseOrders(graph)),
);
