// What `--check` says is what the service would do: dispatch.env counts as it does for the unit.
import { expect, test } from "bun:test";
import { runCheck } from "../../src/cli/check.ts";
import { FILE, filesOf, SECRET } from "../configured.ts";

const ENVIRONMENT = "/etc/hal0/dispatch.env";
const LAN = '[server]\nhost = "0.0.0.0"\nport = 0\n';

function check(files: Record<string, string | null>, env: Record<string, string> = {}) {
  let [out, err] = ["", ""];
  const code = runCheck(
    {},
    {
      ...filesOf(files),
      ownHosts: () => [],
      env,
      out: (text) => void (out += text),
      err: (text) => void (err += text),
    },
  );
  return { code, out, err };
}

test("a key in dispatch.env opens the address that the file names, and is not shown", () => {
  const { code, out, err } = check({ [FILE]: LAN, [ENVIRONMENT]: `HAL0_DISPATCH_API_KEYS=${SECRET}\n` });
  expect([code, err]).toEqual([0, ""]);
  expect(out).toContain("api_keys = (1 key)\n");
  expect(out).not.toContain("secret");
  expect(check({ [FILE]: LAN })).toMatchObject({ code: 1, out: "" });
});

test("dispatch.env may name the file, and a remote's key in it counts", () => {
  const remote = '[upstreams.far]\nurl = "http://far"\nmodels = ["m"]\napi_key_env = "FAR_KEY"\n';
  const environment = `HAL0_DISPATCH_CONFIG=/other.toml\nFAR_KEY=${SECRET}\n`;
  const { code, out } = check({ "/other.toml": remote, [ENVIRONMENT]: environment });
  expect(code).toBe(0);
  expect(out).toContain('[upstreams.far]\nurl = "http://far"\napi_key = (set)\n');
});

test("the environment of the check goes before dispatch.env", () => {
  const files = { [ENVIRONMENT]: "HAL0_DISPATCH_PORT=1\nHAL0_DISPATCH_LOG=warn\n" };
  const { out } = check(files, { HAL0_DISPATCH_PORT: "2" });
  expect(out).toContain("port = 2\n");
  expect(out).toContain('log_level = "warn"\n');
});

test("a dispatch.env that cannot be read is said, since what it adds is missing", () => {
  const note = `hal0-dispatch: ${ENVIRONMENT} cannot be read: permission denied; only the environment counts\n`;
  expect(check({ [ENVIRONMENT]: null })).toMatchObject({ code: 0, err: note });
  const { code, err } = check({ [FILE]: LAN, [ENVIRONMENT]: null });
  expect([code, err.startsWith(`${note}hal0-dispatch: server.host: other machines can reach 0.0.0.0`)]).toEqual([
    1,
    true,
  ]);
  // A reload of the service: systemd has read the file as root.
  expect(check({ [ENVIRONMENT]: null }, { INVOCATION_ID: "a" })).toMatchObject({ code: 0, err: "" });
});

test("every fault is a line, and nothing is printed as if it were in force", () => {
  const { code, out, err } = check({ [FILE]: "[server]\nport = -1\nprt = 1\n" });
  expect([code, out, err.split("\n").length]).toEqual([1, "", 3]);
});
