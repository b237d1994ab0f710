// bull-board over BullMQ on Redis, Node.js. Verbs and answers: common.py.
const { Queue, Worker } = require("bullmq");

const NAME = "shipmentDeparted";
const BATCH = 100;
const [verb, text] = process.argv.slice(2);
const options = JSON.parse(text);
const connection = { path: options.redis, maxRetriesPerRequest: null };
const now = () => Number(process.hrtime.bigint());
const answer = (values) => new Promise((done) => process.stdout.write(JSON.stringify(values) + "\n", done));
const leave = (values) => answer(values).then(() => process.exit(0));
const makeQueue = () => new Queue("bench", { connection });

// About as large as the messages of the other subjects.
const payload = (number) => ({ shipmentId: `S-${number}`, event: "x".repeat(280) });

const verbs = {
  async fail() {
    const queue = makeQueue();
    for (let start = 0; start < options.count; start += 200) {
      const size = Math.min(200, options.count - start);
      await queue.addBulk(Array.from({ length: size }, (_, n) => ({ name: NAME, data: payload(start + n) })));
    }
    let left = options.count;
    const react = async () => {
      throw new Error("no answer within 5 s");
    };
    const worker = new Worker("bench", react, { connection, concurrency: BATCH });
    worker.on("failed", () => --left || leave({}));
  },
  serve() {
    const express = require("express");
    const { createBullBoard } = require("@bull-board/api");
    const { BullMQAdapter } = require("@bull-board/api/bullMQAdapter");
    const { ExpressAdapter } = require("@bull-board/express");
    const serverAdapter = new ExpressAdapter();
    serverAdapter.setBasePath("/ui");
    createBullBoard({ queues: [new BullMQAdapter(makeQueue())], serverAdapter });
    const app = express();
    app.use("/ui", serverAdapter.getRouter());
    app.listen(options.port, "127.0.0.1", () => process.stdout.write("ready\n"));
  },
  async work() {
    let done = 0;
    const worker = new Worker("bench", async () => {}, { connection, concurrency: BATCH });
    worker.on("completed", () => ++done === options.count && leave({ ended: now() }));
    await worker.waitUntilReady();
    process.stdout.write("ready\n");
  },
};

verbs[verb]();
