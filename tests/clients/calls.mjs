// Makes the calls that come as JSON on stdin by the official JavaScript client, each at every host in turn, and prints
// what it made of them.
//
//   node calls.mjs <folder with node_modules> <host> <host> < [{"method": "chat", "arguments": {…}}, …]
//   → [[{"parts": [{…}, …], "error": {"type", "text", "status"} | null}, <the other host's>], …]
import { createRequire } from "node:module";
import { text } from "node:stream/consumers";

const [folder, ...hosts] = process.argv.slice(2);
const { Ollama } = createRequire(`${folder}/`)("ollama");
console.log = console.warn = console.error; // the client talks to itself: stdout is the answer's
const clients = hosts.map((host) => new Ollama({ host }));

async function made(client, { method, arguments: given }) {
  const parts = [];
  try {
    const answer = await client[method](structuredClone(given)); // the client writes into what it is given
    if (!given.stream) return { parts: [answer], error: null };
    for await (const part of answer) parts.push(part);
    return { parts, error: null };
  } catch (error) {
    return { parts, error: { type: error.name, text: error.message, status: error.status_code } };
  }
}

const outcomes = [];
for (const call of JSON.parse(await text(process.stdin))) {
  const pair = [];
  for (const client of clients) pair.push(await made(client, call));
  outcomes.push(pair);
}
process.stdout.write(JSON.stringify(outcomes));
