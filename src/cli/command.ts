// What the command line asks for, and the exit codes: 0 done or stopped on request, 1 failed at run time, 2 configuration or usage.
// Loads only what the command needs.
import pkg from "../../package.json" with { type: "json" };
import { helpText, parseArgs } from "./args.ts";
import { printCompletion } from "./completion.ts";
import { MOST_FETCHES } from "./fetches.ts";
import { canRead, systemFiles } from "../config/files.ts";
import { ownHosts } from "../config/machine.ts";
import { fail } from "./outcome.ts";

export async function run(argv: readonly string[]): Promise<void> {
  const args = parseArgs(argv);
  // `| head` stops reading: an install goes on all the same.
  process.stdout.on("error", () => {});
  switch (args.kind) {
    case "help":
      process.stdout.write(helpText(pkg.version));
      break;
    case "version":
      process.stdout.write(`hal0-dispatch ${pkg.version} (bun ${Bun.version})\n`);
      break;
    case "usage":
      fail(2, args.fault);
      break;
    case "check": {
      const { runCheck } = await import("./check.ts");
      process.exitCode = runCheck(args.flags, {
        ...systemFiles,
        ownHosts,
        env: process.env,
        out: (text) => void process.stdout.write(text),
        err: (text) => void process.stderr.write(text),
      });
      break;
    }
    case "install":
    case "uninstall": {
      const { systemHostIo } = await import("../host/system.ts");
      const io = systemHostIo(Bun.main.startsWith("/$bunfs/") ? process.execPath : null, MOST_FETCHES);
      process.exitCode =
        args.kind === "install"
          ? await (await import("../host/install.ts")).runInstall(args, io)
          : await (await import("../host/uninstall.ts")).runUninstall(args, io);
      break;
    }
    case "doctor": {
      const { runDoctor } = await import("../host/doctor.ts");
      const { hasSystemd, runCommand } = await import("../host/system.ts");
      process.exitCode = await runDoctor(args, {
        ...systemFiles,
        canRead,
        env: process.env,
        version: pkg.version,
        hasSystemd: hasSystemd(),
        run: runCommand,
        out: (text) => void process.stdout.write(text),
      });
      break;
    }
    case "drill": {
      const { runDrill } = await import("./drill.ts");
      const { systemDrillIo, whereItServes } = await import("./drill-io.ts");
      process.exitCode = await runDrill(
        { slot: args.slot, isYes: args.isYes, ...whereItServes(args.url) },
        systemDrillIo(),
      );
      break;
    }
    case "completion":
      process.stdout.write(printCompletion(args.shell));
      break;
    case "serve":
      {
        const { serve } = await import("./serve.ts");
        await serve(args.flags, pkg.version);
      }
      break;
  }
}
