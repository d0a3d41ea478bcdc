// Downloads pictures through CACHE.GET, with node-redis.
//
//     node worker.mjs FOLDER
//
// Each line of standard input is a job: the URLs of some pictures. The worker
// saves them in the folder and answers with a line that tells how long it took.

import { writeFile } from "node:fs/promises";
import { basename, join } from "node:path";
import { createInterface } from "node:readline";
import { createClientPool, RESP_TYPES } from "redis";

const EXPIRY = "60"; // seconds that a picture stays in Redis
const TIMEOUT = "5"; // seconds that we wait for one
const CALLS_AT_ONCE = 4;

// A call that waits for a download keeps its connection busy, as BLPOP does, and whatever else one
// client sends waits behind it. So this is a pool, not a client; the pool also bounds the calls at once.
const pool = createClientPool(
  { url: process.env.REDIS_URL ?? "redis://127.0.0.1:6379" },
  { minimum: CALLS_AT_ONCE, maximum: CALLS_AT_ONCE },
);
pool.on("error", (error) => console.error(error.message));

// Pictures are bytes: strings would be read as UTF-8, and harmed.
const cache = pool.withTypeMapping({ [RESP_TYPES.BLOB_STRING]: Buffer });

/** The picture: from Redis, which asks the origin only if it must. No lock, no second look. */
async function download(url) {
  const body = await cache.sendCommand(["CACHE.GET", url, EXPIRY, TIMEOUT]);
  if (body === null) throw new Error(`no ${url} within ${TIMEOUT} s`);
  return body;
}

async function save(url, folder) {
  await writeFile(join(folder, basename(url)), await download(url));
}

const folder = process.argv[2];
await pool.connect();
for await (const line of createInterface({ input: process.stdin })) {
  const urls = line.split(" ").filter(Boolean);
  const begun = performance.now();
  await Promise.all(urls.map((url) => save(url, folder)));
  const took = performance.now() - begun;
  console.log(`${urls.length} pictures in ${took.toFixed(1)} ms`);
}
await pool.close();
