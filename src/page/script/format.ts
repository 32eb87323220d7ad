// Times, durations, numbers and addresses as a person reads them. Pure but for the zone and language of the browser.

const two = (n: number): string => String(n).padStart(2, "0");

export function clockTime(date: Date, withSeconds = true): string {
  return `${two(date.getHours())}:${two(date.getMinutes())}${withSeconds ? `:${two(date.getSeconds())}` : ""}`;
}

/** With the day where it is not today's. */
export function dayAndTime(date: Date, now: Date): string {
  if (date.toDateString() === now.toDateString()) return clockTime(date);
  return `${date.toLocaleDateString("en", { day: "numeric", month: "short" })} ${clockTime(date)}`;
}

/** `digits` after the point below ten seconds. */
export function duration(s: number, digits = 1): string {
  if (s < 1) return `${Math.round(s * 1000)} ms`;
  if (s < 120) return `${s < 10 ? s.toFixed(digits) : Math.round(s)} s`;
  if (s < 3600) return `${Math.floor(s / 60)} min`;
  if (s < 172_800) return `${Math.floor(s / 3600)} h ${Math.floor((s % 3600) / 60)} min`;
  return `${Math.floor(s / 86_400)} days`;
}

/** Nothing where it is not known. */
export const milliseconds = (ms: number | null): string => (ms === null ? "" : duration(ms / 1000));

export const count = (n: number): string => n.toLocaleString("en");

/** `1 request`, `2 requests`. */
export const many = (n: number, one: string, more = `${one}s`): string => `${count(n)} ${n === 1 ? one : more}`;

export function portOf(url: string | null): string | null {
  return url !== null && URL.canParse(url) ? new URL(url).port || "default" : null;
}
