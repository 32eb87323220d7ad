// Recordings of real servers as data: one value per framed curl call.

export interface Recorded {
  readonly method: string;
  readonly port: number;
  readonly target: string;
  readonly requestHeaders: readonly string[];
  readonly requestBody: string;
  /** 0: no answer. */
  readonly status: number;
  /** `Name: value` lines, in their order. */
  readonly headers: readonly string[];
  readonly body: string;
  readonly command: string;
}

export async function readRecording(folder: string, file: string): Promise<readonly Recorded[]> {
  const root = `${import.meta.dir}/../wire/lemonade-${folder}`;
  const names = await Array.fromAsync(new Bun.Glob(`${file}*.txt`).scan(root));
  const text = (await Promise.all(names.sort().map((name) => Bun.file(`${root}/${name}`).text()))).join("\n");
  return text
    .split(/^.*=== (?=[\d:.]+ curl )/m)
    .slice(1)
    .flatMap(parseCall);
}

function parseCall(text: string): readonly Recorded[] {
  const command = text.slice(0, text.indexOf("\n"));
  const request = between(text, "--- request\n", "--- response\n");
  const response = between(text, "--- response\n", "\n--- end ");
  const url = /http:\/\/127\.0\.0\.1:(\d+)(\S*)/.exec(command);
  if (url === null) return [];
  const [head = "", ...rest] = response.split("\n\n");
  const [first = "", ...headers] = head.split("\n");
  const body = /\(request body\) ([\s\S]*?)\n?$/.exec(request)?.[1] ?? "";
  const lines = request.split("\n").filter((line) => /^[\w-]+: /.test(line));
  return [
    {
      method: request.split(" ")[0] ?? "",
      port: Number(url[1]),
      target: (url[2] ?? "").replaceAll("\\", ""),
      requestHeaders: lines.filter((line) => !/^(host|user-agent|accept|content-length): /i.test(line)),
      requestBody: body,
      status: response.startsWith("HTTP/1.1 ") ? Number(first.split(" ")[1]) : 0,
      headers,
      body: rest.join("\n\n").replace(/\n$/, ""),
      command,
    },
  ];
}

function between(text: string, from: string, to: string): string {
  const begin = text.indexOf(from) + from.length;
  const end = text.indexOf(to, begin);
  return text.slice(begin, end < 0 ? undefined : end);
}
