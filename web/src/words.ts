/** Numbers with a true minus and a comma for every thousand. */
export function number(value: bigint | number): string {
  return value.toLocaleString("en-GB").replace("-", "\u2212");
}

/** A change, with its sign. */
export function signed(value: bigint): string {
  return value > 0n ? `+${number(value)}` : number(value);
}

/** How many of what: "1 entry", "2 entries". */
export function count(value: bigint | number, one: string, many: string): string {
  return `${number(value)} ${BigInt(value) === 1n ? one : many}`;
}

/** Microseconds since 1970, in UTC. Times beyond what a date can hold are shown as they are. */
export function time(microseconds: bigint): string {
  const fraction = ((microseconds % 1_000_000n) + 1_000_000n) % 1_000_000n;
  const date = new Date(Number((microseconds - fraction) / 1000n));
  if (Number.isNaN(date.getTime())) return `${number(microseconds)} µs since 1970`;
  return `${date.toISOString().slice(0, -5).replace("T", " ")}.${String(fraction).padStart(6, "0")} UTC`;
}

/** Unix seconds, in UTC. */
export function second(seconds: bigint): string {
  const date = new Date(Number(seconds) * 1000);
  return Number.isNaN(date.getTime()) ? `${number(seconds)} s since 1970` : date.toISOString().replace("T", " ").replace(".000Z", " UTC");
}

/** A local date, in days since 1970; the greatest says never. */
export function day(days: number): string {
  if (days === 2 ** 31 - 1) return "never";
  const date = new Date(days * 86_400_000);
  return Number.isNaN(date.getTime()) ? `day ${number(days)}` : date.toISOString().slice(0, 10);
}

/** The start and the end of a long hexadecimal. */
export function short(hex: string): string {
  return hex.length <= 18 ? hex : `${hex.slice(0, 10)}…${hex.slice(-6)}`;
}
