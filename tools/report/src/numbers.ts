/** A count with an SI suffix: 4228000000 → `4.23 G`. */
export function siCount(value: number): string {
  const units = ['', ' k', ' M', ' G', ' T'];
  let unit = 0;
  let scaled = value;
  while (Math.abs(scaled) >= 1000 && unit < units.length - 1) {
    scaled /= 1000;
    unit++;
  }
  return `${unit === 0 ? scaled : Number(scaled.toPrecision(3))}${units[unit]}`;
}

/** A size in bytes, in kB or MB of 1000. */
export const byteCount = (bytes: number): string =>
  bytes < 1e6 ? `${(bytes / 1e3).toFixed(1)} kB` : `${(bytes / 1e6).toFixed(2)} MB`;

/** `part` of `whole` as a signed change in percent: `−61 %`. */
export function relativeChange(before: number, after: number): string {
  if (before === 0) return '–';
  const percent = Math.round((after / before - 1) * 100);
  return percent > 0 ? `+${percent} %` : `${percent === 0 ? '±0' : `−${-percent}`} %`;
}

/** Milliseconds with three significant digits. */
export const milliseconds = (ms: number): string => `${Number(ms.toPrecision(3))} ms`;

/** A small error such as `3.1e-7`; zero stays `0`. */
export const smallNumber = (value: number): string => (value === 0 ? '0' : value.toExponential(1));
