// Receives one webhook. Prints the port that it listens on; answers the challenge; when a message comes, keeps its body in the
// file that was named, prints the three headers by which it is checked, and ends.
import { writeFileSync } from "node:fs";
import { createServer } from "node:http";

const file = process.argv[2];
const server = createServer(async (request, response) => {
  const parts = [];
  for await (const part of request) parts.push(part);
  // The signature is over these bytes: keep them as they came, and check them before they are believed.
  const body = Buffer.concat(parts);
  const { type, data } = JSON.parse(body.toString("utf8"));
  response.setHeader("content-type", "application/json");
  response.setHeader("connection", "close");
  if (type === "webhook.verification") {
    response.end(JSON.stringify({ challenge: data.challenge }));
    return;
  }
  writeFileSync(file, body);
  const { "webhook-id": id, "webhook-timestamp": timestamp, "webhook-signature": signature } = request.headers;
  response.end("{}");
  console.log(`${id} ${timestamp} ${signature}`);
  server.close();
});
server.listen(0, "127.0.0.1", () => console.log(server.address().port));
