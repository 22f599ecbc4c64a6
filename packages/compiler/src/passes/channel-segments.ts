import { composePermutations, identityPermutation, invertPermutation, type Permutation } from '@dgconv/core';

/** Channels that are stored side by side, in one order, wherever they occur. Elements are numbered 0, 1, …. */
export interface Segment {
  readonly size: number;
  /** The elements stay as they are numbered. */
  readonly isFixed: boolean;
}

/** A segment within a value. */
export interface Occurrence {
  readonly segment: Segment;
  /** `[segment.size]`: the channel of the value that each element is. */
  readonly channels: Permutation;
}

/** A value as segments, in the order in which they are stored: each channel is in one of them. */
export type Layout = readonly Occurrence[];

/**
 * Which channels of which values have to be stored alike: a union-find over segments with relative permutations, in which a segment
 * can be split. Values that an op ties share segments; a concatenation is the segments of its inputs one after the other; a slice is
 * a run of them.
 */
export class ChannelSegments {
  readonly #layouts = new Map<string, Layout>();
  /** What stands for a segment that was split or united with another one; `channels` are its elements. */
  readonly #replacements = new Map<Segment, Layout>();

  /** The segments of a value that was added. */
  of(value: string): Layout {
    const known = this.#layouts.get(value);
    if (known === undefined) throw new Error(`internal: the value ${value} has no segments`);
    if (!known.some(({ segment }) => this.#replacements.has(segment))) return known;
    const layout = known.flatMap((occurrence) => this.#resolve(occurrence));
    this.#layouts.set(value, layout);
    return layout;
  }

  /** The value is made of these segments. */
  add(value: string, layout: Layout): void {
    this.#layouts.set(value, layout);
  }

  /** A segment that nothing is tied to yet, as the channels from `first` on. */
  fresh(size: number, first = 0, isFixed = false): Occurrence {
    return { segment: { size, isFixed }, channels: shifted(identityPermutation(size), first) };
  }

  /** Channel c of `value` is channel `map[c]` of `other`. What contradicts earlier ties is left as it is: a `take` will stand there. */
  tie(value: string, other: string, map: Permutation): void {
    this.#unite(this.of(value), inNumbersOf(this.of(other), invertPermutation(map)));
  }

  /** The value keeps its order: it is at the border of the graph, or an op needs it so. */
  fix(value: string): void {
    let first = 0;
    for (const known of this.of(value)) {
      // Fixing one segment may have replaced others of the value.
      for (const occurrence of this.#resolve(known)) {
        const { length } = occurrence.channels;
        const isNext = occurrence.channels.every((channel) => channel < first + length);
        if (!isNext || !this.#merge(occurrence, this.fresh(length, first, true))) return;
        first += length;
      }
    }
  }

  /**
   * The segments that the channels `first … first+count-1` of a value are, as those of a value of their own; segments are split where
   * they hold others as well. Undefined where other channels would have to lie between.
   */
  cut(value: string, first: number, count: number): Layout | undefined {
    const isInside = (channel: number): boolean => channel >= first && channel < first + count;
    const { length } = this.of(value).flatMap(({ channels }) => channels);
    for (let step = 0; step <= length; step += 1) {
      const layout = this.of(value);
      const touched = layout.flatMap(({ channels }, index) => (channels.some(isInside) ? [index] : []));
      const [start, end] = [touched[0]!, touched.at(-1)!];
      const partial = touched.find((index) => !layout[index]!.channels.every(isInside));
      if (touched.length !== end - start + 1) return undefined;
      if (partial === undefined) {
        return layout
          .slice(start, end + 1)
          .map(({ segment, channels }) => ({ segment, channels: shifted(channels, -first) }));
      }
      const { segment, channels } = layout[partial]!;
      const before = channels.some((channel) => channel < first) && partial === start && partial === end;
      const isPicked = before ? (channel: number) => channel < first : isInside;
      const isFirst = before || partial === end;
      if (!isFirst && partial !== start) return undefined;
      const elements = identityPermutation(segment.size);
      const picked = elements.filter((element) => isPicked(channels[element]!));
      const others = elements.filter((element) => !isPicked(channels[element]!));
      if (!this.#split(segment, isFirst ? [picked, others] : [others, picked])) return undefined;
    }
    return undefined;
  }

  #resolve(occurrence: Occurrence): Layout {
    const replacement = this.#replacements.get(occurrence.segment);
    if (replacement === undefined) return [occurrence];
    // What it was replaced by may have been replaced since.
    const current = replacement.flatMap((part) => this.#resolve(part));
    this.#replacements.set(occurrence.segment, current);
    return inNumbersOf(current, occurrence.channels);
  }

  /** Splits and unites segments until both layouts, which number the same channels alike, are the same segments. */
  #unite(one: Layout, other: Layout): void {
    if (!areCompatible(one, other)) return;
    const [left, right] = [one.toReversed(), other.toReversed()];
    for (;;) {
      const [a, b] = [this.#next(left), this.#next(right)];
      if (a === undefined || b === undefined) return;
      if (isSame(a, b)) continue;
      if (a.channels.length === b.channels.length) {
        if (!this.#merge(a, b)) return;
        continue;
      }
      const isLeftWide = a.channels.length > b.channels.length;
      const [wide, narrow, others] = isLeftWide ? [a, b, right] : [b, a, left];
      const parts = [narrow, ...this.#nextWithin(wide, narrow, others)];
      if (!this.#split(wide.segment, elementsOf(wide, parts))) return;
      (isLeftWide ? left : right).push(wide);
      for (const part of parts.toReversed()) others.push(part);
    }
  }

  /** Takes the next occurrence from a layout that is stored in reverse. */
  #next(rest: Occurrence[]): Occurrence | undefined {
    const first = rest.pop();
    if (first === undefined || !this.#replacements.has(first.segment)) return first;
    for (const part of this.#resolve(first).toReversed()) rest.push(part);
    return rest.pop();
  }

  /** Takes what lies within an occurrence behind its first part: splitting it at once takes no longer than splitting it in two. */
  #nextWithin(wide: Occurrence, first: Occurrence, rest: Occurrence[]): Occurrence[] {
    const parts: Occurrence[] = [];
    let left = wide.channels.length - first.channels.length;
    for (;;) {
      const part = this.#next(rest);
      if (part === undefined) return parts;
      left -= part.channels.length;
      if (left < 0 || part.segment === wide.segment) {
        rest.push(part);
        return parts;
      }
      parts.push(part);
    }
  }

  /** Makes two segments that hold the same channels one; false where both are fixed, or one, in another order. */
  #merge(a: Occurrence, b: Occurrence): boolean {
    const place = new Map(b.channels.map((channel, element) => [channel, element]));
    const map = a.channels.map((channel) => place.get(channel) ?? -1);
    const isAlike = map.every((element, index) => element === index);
    if (map.includes(-1)) return false;
    if (a.segment === b.segment || (a.segment.isFixed && b.segment.isFixed)) {
      if (!isAlike) return false;
      if (a.segment !== b.segment) this.#replacements.set(a.segment, [{ segment: b.segment, channels: map }]);
      return true;
    }
    if (a.segment.isFixed) this.#replacements.set(b.segment, [{ segment: a.segment, channels: map }]);
    else this.#replacements.set(a.segment, [{ segment: b.segment, channels: invertPermutation(map) }]);
    return true;
  }

  /**
   * Replaces a segment by several, which hold these of its elements, each ascending; where a fixed one has another order, what comes
   * from there on stays together. False if nothing can be split off.
   */
  #split(segment: Segment, parts: readonly Permutation[]): boolean {
    let end = 0;
    const firstOther = parts.findIndex((part) => {
      end += part.length;
      return part.at(-1)! >= end;
    });
    const allowed =
      segment.isFixed && firstOther >= 0
        ? [
            ...parts.slice(0, firstOther),
            parts
              .slice(firstOther)
              .flat()
              .sort((a, b) => a - b),
          ]
        : parts;
    if (allowed.length < 2) return false;
    this.#replacements.set(
      segment,
      allowed.map((channels) => ({ segment: { size: channels.length, isFixed: segment.isFixed }, channels })),
    );
    return true;
  }
}

/** The elements of an occurrence that are in each of the parts, which hold some of its channels, and last those that are in none. */
function elementsOf({ channels }: Occurrence, parts: readonly Occurrence[]): Permutation[] {
  const partOf = new Map(parts.flatMap((part, index) => part.channels.map((channel) => [channel, index] as const)));
  const elements = [...parts, []].map((): number[] => []);
  channels.forEach((channel, element) => elements[partOf.get(channel) ?? parts.length]!.push(element));
  return elements.filter(({ length }) => length > 0);
}

function shifted(channels: Permutation, by: number): Permutation {
  return by === 0 ? channels : channels.map((channel) => channel + by);
}

/** A layout of what is channel `numbers[c]` of another value. */
export function inNumbersOf(layout: Layout, numbers: Permutation): Layout {
  return layout.map(({ segment, channels }) => ({
    segment,
    channels: channels.map((channel) => numbers[channel]!),
  }));
}

/** Layouts of two values one after the other. */
export function concatenated(layouts: readonly Layout[]): Layout {
  let start = 0;
  return layouts.flatMap((layout) => {
    const first = start;
    for (const { channels } of layout) start += channels.length;
    return layout.map(({ segment, channels }) => ({ segment, channels: shifted(channels, first) }));
  });
}

/** The order of a value's channels in which its segments have the given orders. */
export function orderIn(layout: Layout, orderOf: (segment: Segment) => Permutation): Permutation {
  return layout.flatMap(({ segment, channels }) => composePermutations(channels, orderOf(segment)));
}

function isSame(a: Occurrence, b: Occurrence): boolean {
  return a.segment === b.segment && a.channels.every((channel, element) => channel === b.channels[element]);
}

/** Whether some order of the channels agrees with the order of the segments of both layouts. */
function areCompatible(one: Layout, other: Layout): boolean {
  const place = new Map<number, number>();
  other.forEach(({ channels }, index) => channels.forEach((channel) => place.set(channel, index)));
  let reached = -1;
  return one.every(({ channels }) => {
    let [lowest, highest] = [Infinity, -1];
    for (const channel of channels) {
      const index = place.get(channel)!;
      lowest = Math.min(lowest, index);
      highest = Math.max(highest, index);
    }
    const fits = lowest >= reached;
    reached = highest;
    return fits;
  });
}
