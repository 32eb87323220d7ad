// What is measured: the child itself, this server, a bare pass-through on the same platform, two proxies that are the floor of
// what a proxy can cost, and what somebody has running. One thread each, and each with a fresh connection to the child for every request, as the real llama-server needs.
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { needDebian } from "../need.ts";

export interface Target {
  readonly name: string;
  readonly origin: string;
  readonly pid: number;
}

export interface Targets extends AsyncDisposable {
  readonly all: readonly Target[];
}

const HOST = "127.0.0.1";
/** The platform with nothing on it: what this server is measured against. */
export const BARE = "bare bun";

export interface TargetOptions {
  /** 0 takes a free one. */
  readonly childPort: number;
  /** Servers that run already, in front of a child on `childPort`. Their CPU and memory are not known. */
  readonly against: readonly { readonly name: string; readonly origin: string }[];
}

/** Starts the child, a control plane that lists it, and every target that can be had on this machine. */
export async function startTargets(
  binary: string,
  options: TargetOptions,
  note: (text: string) => void,
): Promise<Targets> {
  const folder = await mkdtemp(join(tmpdir(), "hal0-bench-"));
  const children: Bun.Subprocess[] = [];
  const spawn = (command: string[], env: Record<string, string> = {}): Bun.Subprocess => {
    const child = Bun.spawn(command, { env: { ...process.env, ...env }, stdout: "ignore", stderr: "ignore" });
    children.push(child);
    return child;
  };

  const childPort = options.childPort === 0 ? freePort() : options.childPort;
  const child = spawn([process.execPath, join(import.meta.dir, "child.ts"), "--port", String(childPort)]);
  const lemond = serveLemond(childPort, child.pid);
  const all: Target[] = [{ name: "direct", origin: `http://${HOST}:${childPort}`, pid: child.pid }];

  const hal0Port = freePort();
  const hal0 = spawn([
    binary,
    "--config",
    "/dev/null",
    "--port",
    String(hal0Port),
    "--lemonade",
    `http://${HOST}:${lemond.port}`,
  ]);
  all.push({ name: "hal0-dispatch", origin: `http://${HOST}:${hal0Port}`, pid: hal0.pid });

  const barePort = freePort();
  const bare = spawn([
    process.execPath,
    join(import.meta.dir, "passthrough.ts"),
    "--port",
    String(barePort),
    "--child-port",
    String(childPort),
  ]);
  all.push({ name: BARE, origin: `http://${HOST}:${barePort}`, pid: bare.pid });

  const proxies = [
    { name: "haproxy", package: "haproxy", config: haproxyConfig, command: (path: string) => ["-db", "-f", path] },
    {
      name: "nginx",
      package: "nginx-light",
      config: nginxConfig,
      command: (path: string) => ["-c", path, "-p", folder],
    },
  ];
  for (const proxy of proxies) {
    const executable = await needDebian(proxy.package, proxy.name, true);
    if (executable === null) {
      note(`${proxy.name} is not on this machine and cannot be installed: left out`);
      continue;
    }
    const port = freePort();
    const path = join(folder, `${proxy.name}.conf`);
    await writeFile(path, proxy.config(port, childPort, folder));
    const started = spawn([executable, ...proxy.command(path)]);
    all.push({ name: proxy.name, origin: `http://${HOST}:${port}`, pid: started.pid });
  }
  for (const { name, origin } of options.against) all.push({ name, origin, pid: 0 });
  for (const { origin } of all) await answers(origin);
  return {
    all,
    [Symbol.asyncDispose]: async () => {
      for (const started of children) started.kill();
      await Promise.all(children.map((started) => started.exited));
      await lemond.stop(true);
      await rm(folder, { recursive: true });
    },
  };
}

export function freePort(): number {
  const listener = Bun.listen({ hostname: HOST, port: 0, socket: { data: () => {} } });
  const { port } = listener;
  listener.stop(true);
  return port;
}

export function serveLemond(childPort: number, pid: number): Bun.Server<undefined> {
  const loaded = {
    model_name: "bench",
    backend_url: `http://${HOST}:${childPort}/v1`,
    pid,
    checkpoint: "/models/bench.gguf",
    type: "llm",
    recipe_options: { ctx_size: 4096 },
  };
  const health = {
    all_models_loaded: [loaded],
    max_models: { llm: 1 },
    model_loaded: "bench",
    status: "ok",
    version: "11.7.0",
  };
  return Bun.serve({
    hostname: HOST,
    port: 0,
    routes: {
      "/v1/health": () => Response.json(health),
      "/v1/models": () => Response.json({ data: [{ id: "bench" }] }),
    },
    fetch: () => Response.json({ status: "success" }),
  });
}

async function answers(origin: string): Promise<void> {
  for (let tries = 0; tries < 200; tries++) {
    const body = JSON.stringify({ model: "bench", messages: [] });
    const response = await fetch(`${origin}/v1/chat/completions`, { method: "POST", body }).catch(() => null);
    if (response?.ok) {
      await response.arrayBuffer();
      return;
    }
    await Bun.sleep(25);
  }
  throw new Error(`${origin} does not answer`);
}

const haproxyConfig = (port: number, childPort: number): string => `global
  nbthread 1
  maxconn 4096
defaults
  mode http
  timeout connect 5s
  timeout client 60s
  timeout server 60s
frontend front
  bind ${HOST}:${port}
  default_backend child
backend child
  http-reuse never
  server child ${HOST}:${childPort}
`;

const nginxConfig = (port: number, childPort: number, folder: string): string => `daemon off;
user root;
worker_processes 1;
pid ${folder}/nginx.pid;
error_log /dev/null;
events { worker_connections 4096; }
http {
  access_log off;
  client_max_body_size 64m;
  client_body_temp_path ${folder}/body;
  proxy_temp_path ${folder}/proxy;
  fastcgi_temp_path ${folder}/fastcgi;
  uwsgi_temp_path ${folder}/uwsgi;
  scgi_temp_path ${folder}/scgi;
  server {
    listen ${HOST}:${port};
    location / {
      proxy_pass http://${HOST}:${childPort};
      proxy_http_version 1.1;
      proxy_set_header Connection close;
      proxy_buffering off;
    }
  }
}
`;
