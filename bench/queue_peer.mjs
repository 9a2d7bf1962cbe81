// Add jobs one after the other; how long until the worker begins each (ms).
import { Queue, Worker } from "bullmq";
import { readFileSync } from "node:fs";

const connection = { host: "127.0.0.1", port: Number(process.argv[2]), maxRetriesPerRequest: null };
const jobs = Number(process.argv[3]);
let begun;
const worker = new Worker("bench", async () => begun(performance.now()), { connection });
const queue = new Queue("bench", { connection });
await Promise.all([worker.waitUntilReady(), queue.waitUntilReady()]);
const took = [];
for (let number = 0; number < jobs; number++) {
  const active = new Promise((resolve) => { begun = resolve; });
  const began = performance.now();
  await queue.add("create", { number });
  took.push((await active) - began);
}
took.sort((a, b) => a - b);
const manifest = new URL("./node_modules/bullmq/package.json", import.meta.url);
const { version } = JSON.parse(readFileSync(manifest));
console.log(JSON.stringify({ p50: took[Math.floor(jobs / 2)], version }));
await worker.close();
await queue.close();
process.exit(0);
