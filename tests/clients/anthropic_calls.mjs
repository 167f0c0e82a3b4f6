// Makes the calls that come as JSON on stdin by Anthropic's own JavaScript client, and prints what it made of them.
//
//   node anthropic_calls.mjs <folder with node_modules> <base url> < [{"how": "whole|stream|helper|count|leave", …}, …]
//   → [{"message": {…} | null, "events": ["message_start", …], "error": {…} | null}, …]
import { createRequire } from "node:module";
import { text } from "node:stream/consumers";

const [folder, baseURL] = process.argv.slice(2);
const { Anthropic } = createRequire(`${folder}/`)("@anthropic-ai/sdk");
const client = new Anthropic({ baseURL, apiKey: process.env.API_KEY ?? "of nobody", timeout: 20_000, maxRetries: 2 });

async function asked(how, given, events) {
  if (how === "count") return await client.messages.countTokens(given);
  if (how === "whole") return await client.messages.create(given);
  if (how === "helper") {
    const stream = client.messages.stream(given);
    stream.on("streamEvent", (event) => events.push(event.type));
    return await stream.finalMessage();
  }
  for await (const event of await client.messages.create({ ...given, stream: true })) {
    events.push(event.type);
    if (how === "leave" && events.length === 4) break;
  }
  return null;
}

async function made({ how, arguments: given }) {
  const outcome = { message: null, events: [], error: null };
  try {
    outcome.message = await asked(how, given, outcome.events);
  } catch (error) {
    const body = error.error?.error ?? {};
    outcome.error = {
      class: error.constructor.name,
      status: error.status ?? null,
      type: body.type ?? error.type ?? null,
      message: body.message ?? error.message,
      request_id: error.requestID ?? null,
    };
  }
  return outcome;
}

const outcomes = [];
for (const call of JSON.parse(await text(process.stdin))) outcomes.push(await made(call));
process.stdout.write(JSON.stringify(outcomes));
