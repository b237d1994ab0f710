// A program that says something in its own transaction: emit.mjs NAME PAYLOAD commit|rollback|die
import pg from "pg";

const [name, payload, end] = process.argv.slice(2);
const client = new pg.Client(); // PGHOST, PGUSER, PGDATABASE
await client.connect();
try {
  await client.query("BEGIN");
  await client.query("INSERT INTO invoices VALUES ($1)", [name]);
  const { rows } = await client.query("SELECT buslog.emit($1, $2) AS id", [name, payload]);
  if (end === "die") process.kill(process.pid, "SIGKILL");
  await client.query(end);
  console.log(rows[0].id);
} catch (error) {
  console.error(error.code, error.message, error.detail);
  process.exitCode = 1;
} finally {
  await client.end();
}
