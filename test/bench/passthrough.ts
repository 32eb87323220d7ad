// What the platform itself costs: Bun.serve and fetch with nothing between them. Arguments: --port N --child-port N.
const numberOf = (flag: string): number => Number(process.argv[process.argv.indexOf(flag) + 1]);
const child = `http://127.0.0.1:${numberOf("--child-port")}`;

const server = Bun.serve({
  hostname: "127.0.0.1",
  port: numberOf("--port"),
  idleTimeout: 0,
  fetch: async (request) => {
    const { pathname } = new URL(request.url);
    const { status, headers, body } = await fetch(child + pathname, {
      method: request.method,
      headers: { "content-type": "application/json", connection: "close" },
      body: request.body && (await request.arrayBuffer()),
      signal: request.signal,
      keepalive: false,
      decompress: false,
    });
    headers.delete("connection");
    headers.delete("transfer-encoding");
    return new Response(body, { status, headers });
  },
});
process.stdout.write(`${server.url}\n`);
