// What the server did for its users, by day: requests served, those saved that had lost their model's process, and how long
// people waited. No I/O; time is an argument, and a day is the host's own.

/** How a request was saved. One that was saved in two ways counts as the first of these. */
export const SAVED = ["continued", "fell_back", "recovered"] as const;
export type Saved = (typeof SAVED)[number];

export type Totals = Readonly<Record<"served" | "waited_ms" | Saved, number>>;

/** `day` is `2026-11-24`. */
export type Day = Totals & { readonly day: string };

/** `event: totals`. The week is the last seven days with today. */
export interface Headline {
  readonly today: Totals;
  readonly week: Totals;
}

export interface DayTotals {
  add(
    atMs: number,
    request: { readonly isServed: boolean; readonly saved: Saved | null; readonly waitedMs: number },
  ): void;
  headline(atMs: number): Headline;
  days(): readonly Day[];
}

/** More than a week: days that a clock set wrong has made push none of the week out. */
const DAYS_KEPT = 14;
const DAY_MS = 86_400_000;

export function createTotals(before: readonly Day[]): DayTotals {
  const days = before.map((day) => ({ ...day }));
  let current = dayAround(0);

  return {
    add: (atMs, { isServed, saved, waitedMs }) => {
      if (atMs < current.fromMs || atMs >= current.endMs) current = dayAround(atMs);
      const today = current.name;
      let day = days.find((known) => known.day === today);
      if (!day) {
        day = { day: today, ...nothing() };
        days.push(day);
        if (days.length > DAYS_KEPT) days.shift();
      }
      if (isServed) day.served++;
      if (saved !== null) day[saved]++;
      day.waited_ms += waitedMs;
    },
    headline: (atMs) => {
      const today = dayOf(atMs);
      const first = dayOf(atMs - 6 * DAY_MS);
      return {
        today: sum(days.filter(({ day }) => day === today)),
        week: sum(days.filter(({ day }) => day >= first && day <= today)),
      };
    },
    days: () => days,
  };
}

const nothing = () => ({ served: 0, continued: 0, fell_back: 0, recovered: 0, waited_ms: 0 });

function sum(days: readonly Day[]): Totals {
  const total = nothing();
  for (const day of days) {
    total.served += day.served;
    total.waited_ms += day.waited_ms;
    for (const saved of SAVED) total[saved] += day[saved];
  }
  return total;
}

/** The day and when it begins and ends, so that one request in a million asks the calendar. */
function dayAround(atMs: number): { readonly name: string; readonly fromMs: number; readonly endMs: number } {
  const at = new Date(atMs);
  const midnight = (days: number): number => new Date(at.getFullYear(), at.getMonth(), at.getDate() + days).getTime();
  return { name: dayOf(atMs), fromMs: midnight(0), endMs: midnight(1) };
}

function dayOf(atMs: number): string {
  const date = new Date(atMs);
  const two = (n: number): string => String(n).padStart(2, "0");
  return `${date.getFullYear()}-${two(date.getMonth() + 1)}-${two(date.getDate())}`;
}
