// BullMQ on Redis, Node.js: one worker that runs a hundred at once. Verbs and answers: common.py.
const { Queue, Worker } = require("bullmq");

const NAME = "shipmentDeparted";
const BATCH = 100;
const [verb, text] = process.argv.slice(2);
const options = JSON.parse(text);
const connection = { path: options.redis, maxRetriesPerRequest: null };
const now = () => Number(process.hrtime.bigint());
const answer = (values) => new Promise((done) => process.stdout.write(JSON.stringify(values) + "\n", done));
const leave = (values) => answer(values).then(() => process.exit(0));

const payload = (number) => ({
  shipmentId: `S-${String(number).padStart(8, "0")}`,
  sent: now(),
  event: {
    eventType: "TRANSPORT",
    eventClassifierCode: "ACT",
    transportEventTypeCode: "DEPA",
    eventDateTime: "2026-03-14T08:30:00+01:00",
    transportCall: {
      UNLocationCode: "NLRTM",
      facilityCode: "APMII",
      modeOfTransport: "VESSEL",
      vessel: { vesselIMONumber: "9321483", vesselName: "EMMA MAERSK" },
    },
  },
});

const makeQueue = () => new Queue("bench", { connection });
const kept = { removeOnComplete: true };

const verbs = {
  async fill() {
    const queue = makeQueue();
    for (let start = 0; start < options.count; start += 200) {
      const size = Math.min(200, options.count - start);
      await queue.addBulk(Array.from({ length: size }, (_, n) => ({ name: NAME, data: payload(start + n), opts: kept })));
    }
    process.exit(0);
  },
  drain() {
    let done = 0;
    let began;
    const react = async () => {
      began ??= now();
    };
    const worker = new Worker("bench", react, { connection, concurrency: BATCH });
    worker.on("completed", () => {
      if (++done === options.count) leave({ rate: options.count / ((now() - began) / 1e9) });
    });
  },
  async receive() {
    const latencies = [];
    const react = async (taken) => {
      latencies.push((now() - taken.data.sent) / 1e6);
      if (latencies.length === options.count) leave({ latencies });
    };
    const worker = new Worker("bench", react, { connection, concurrency: BATCH });
    await worker.waitUntilReady();
    process.stdout.write("ready\n");
  },
  async send() {
    const queue = makeQueue();
    for (let number = 0; number < options.count; number++) {
      await new Promise((done) => setTimeout(done, (0.5 + Math.random()) * options.gap * 1000));
      await queue.add(NAME, payload(number), kept);
    }
    leave({});
  },
};

verbs[verb]();
