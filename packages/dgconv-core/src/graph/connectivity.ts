import type { Grouping } from '../grouping/grouping.js';
import type { Mask } from '../grouping/mask.js';

/** Connections given by a 0/1 mask that somebody brought; the kernel is dense. */
export interface MaskedConnectivity {
  readonly kind: 'masked';
  readonly channelsOut: number;
  readonly channelsIn: number;
  readonly mask: Mask;
}

/** Connections that training decides; the kernel is dense, the deciding weights are slots of the node. */
export type LearnedConnectivity =
  | { readonly kind: 'learned'; readonly rule: 'dgconv'; readonly channelsOut: number; readonly channelsIn: number }
  | {
      readonly kind: 'learned';
      readonly rule: 'flgc';
      readonly channelsOut: number;
      readonly channelsIn: number;
      readonly groups: number;
    }
  | {
      readonly kind: 'learned';
      readonly rule: 'condense';
      readonly channelsOut: number;
      readonly channelsIn: number;
      readonly groups: number;
      readonly condenseFactor: number;
    };

/** The states of one convolution: who is connected with whom. */
export type Connectivity = Grouping | MaskedConnectivity | LearnedConnectivity;
