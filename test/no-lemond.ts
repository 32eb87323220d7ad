// A door with nothing behind it, for tests of routes that lemond has no part in. No tests.
import type { LemondDoor } from "../src/http/lemond.ts";

const fail = (): Promise<never> => Promise.reject(new Error("no lemond here"));

export const NO_LEMOND: LemondDoor = { pass: fail, sockets: { open: fail, count: 0, close: () => {} } };
