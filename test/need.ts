// Programs of Debian packages that some tests need: found, or installed where that is allowed, or said to be missing.

const INSTALL_MS = 300_000;

/** Set to 1, it lets the tests install what they need. */
export const MAY_INSTALL = "HAL0_DISPATCH_TESTS_MAY_INSTALL";
/** How a line begins that says what was left out. */
export const SKIPPED = "SKIPPED: ";

/** The path of `command`; where it is missing and that is allowed, from `package`, as root. Null, said aloud, where it cannot be had. */
export async function needDebian(
  debianPackage: string,
  command: string,
  mayInstall = process.env[MAY_INSTALL] === "1",
): Promise<string | null> {
  const there = Bun.which(command);
  if (there !== null) return there;
  const fault = mayInstall ? await install(debianPackage) : "it is not installed";
  const installed = Bun.which(command);
  if (installed === null)
    process.stderr.write(`${SKIPPED}tests with ${command} of Debian's ${debianPackage}: ${fault ?? "not in it"}\n`);
  return installed;
}

/** Null when it worked, else why not. */
async function install(debianPackage: string): Promise<string | null> {
  if (process.getuid?.() !== 0) return "not root";
  if (Bun.which("apt-get") === null) return "there is no apt-get";
  process.stderr.write(`installing Debian's ${debianPackage} for the tests\n`);
  const command = ["apt-get", "install", "-y", "--no-install-recommends", debianPackage];
  // The list of packages of a new machine may be old or empty.
  return (await run(["apt-get", "update"])) ?? (await run(command));
}

async function run(command: string[]): Promise<string | null> {
  const child = Bun.spawn(command, {
    stdin: "ignore",
    stdout: "ignore",
    stderr: "pipe",
    env: { ...process.env, DEBIAN_FRONTEND: "noninteractive" },
    timeout: INSTALL_MS,
  });
  const said = await child.stderr.text();
  return (await child.exited) === 0 ? null : `${command.slice(0, 2).join(" ")} failed: ${said.trim().slice(-300)}`;
}
