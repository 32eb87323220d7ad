// The simulated Lemonade as a service inside the container: lemond's own port, one model loaded, until it is ended.
import { startLemond } from "../lemond/index.ts";

// Its answers last long enough to be cut in the middle.
const models = [{ id: "tiny-a", chat: { tokenMs: 5 } }];
await using lemond = await startLemond({ version: "11.7", port: 13305, models, loadMs: 400, unloadMs: 200 });
await lemond.load("tiny-a");
await new Promise((resolve) => process.once("SIGTERM", resolve));
