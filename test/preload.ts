// Before every test file: the right Bun, and time enough for a busy machine. A test that hangs ends by its own bounds.
import { setDefaultTimeout } from "bun:test";
import "./ready.ts";

setDefaultTimeout(60_000);
