// Times the decoder in Node.js; web/bench.py starts it, and gives one path of a file a line.
//
//     node bench.mjs DIST

import { readFile } from "node:fs/promises";
import { createInterface } from "node:readline";
import { resolve } from "node:path";
import { pathToFileURL } from "node:url";

const { decode } = await import(pathToFileURL(resolve(process.argv[2], "index.js")));

for await (const path of createInterface({ input: process.stdin })) {
  const data = await readFile(path);
  const before = process.cpuUsage();
  await decode(data);
  const { user, system } = process.cpuUsage(before);
  console.log((user + system) / 1e6);
}
