// The file of variables that systemd reads for the service, as systemd reads it. Pure.

/** The assignments of a systemd EnvironmentFile: one a line, `#` or `;` first passes, quotes around a value go. */
export function readEnvironment(text: string): Record<string, string> {
  const assignments = text.split("\n").flatMap((line) => {
    const [, name, value = ""] = /^\s*([A-Za-z_]\w*)=(.*)$/.exec(line) ?? [];
    if (name === undefined) return [];
    return [[name, value.trim().replace(/^(["'])(.*)\1$/, "$2")] as const];
  });
  return Object.fromEntries(assignments);
}
