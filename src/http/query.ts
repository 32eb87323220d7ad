// The query of a URL: what of it goes on to lemond. Nothing of it is logged or shown, since some clients put a key there. Pure.

/** With its question mark, as the client wrote it; empty where there is none. */
export function queryOf(url: string): string {
  const at = url.indexOf("?");
  return at < 0 ? "" : url.slice(at).replace(/#.*$/s, "");
}

/** The same but for `api_key`. */
export function queryForLemond(url: string): string {
  if (!url.includes("?")) return "";
  const pairs = queryOf(url).slice(1).split("&");
  const kept = pairs.filter((pair) => pair !== "" && nameOf(pair) !== "api_key");
  return kept.length > 0 ? `?${kept.join("&")}` : "";
}

/** A name may be written with escapes. */
const nameOf = (pair: string): string => new URLSearchParams(pair).keys().next().value ?? "";

/** The value of the last pair of that name; null where there is none. */
export function queryValue(query: string, name: string): string | null {
  return new URLSearchParams(query).getAll(name).at(-1) ?? null;
}

/** The same query with another value in every pair of that name. */
export function withQueryValue(query: string, name: string, value: string): string {
  const pairs = query.slice(1).split("&");
  return `?${pairs.map((pair) => (nameOf(pair) === name ? `${name}=${encodeURIComponent(value)}` : pair)).join("&")}`;
}
