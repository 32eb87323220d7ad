// The query of a URL: what of it goes on to lemond. Nothing of it is logged or shown, since some clients put a key there. Pure.

/** With its question mark, as the client wrote it, but for `api_key`; empty where nothing is left. */
export function queryForLemond(url: string): string {
  const at = url.indexOf("?");
  if (at < 0) return "";
  const query = url.slice(at + 1).replace(/#.*$/s, "");
  const kept = query.split("&").filter((pair) => pair !== "" && nameOf(pair) !== "api_key");
  return kept.length > 0 ? `?${kept.join("&")}` : "";
}

/** A name may be written with escapes. */
const nameOf = (pair: string): string => new URLSearchParams(pair).keys().next().value ?? "";
