// Bun 1.4.5 runs 256 fetches at once unless the environment says otherwise when the process starts.

export const FETCHES = "BUN_CONFIG_MAX_HTTP_REQUESTS";
export const MOST_FETCHES = "65336";
