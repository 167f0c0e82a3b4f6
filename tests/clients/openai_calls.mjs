// Makes the calls that come as JSON on stdin by OpenAI's own client, and prints what it made of them.
//
//   node openai_calls.mjs <folder with node_modules> <base url> < [{"how", "api", "arguments"}, …]
//   → [{"text", "thinking", "calls": [{"id", "name", "arguments"}], "finish", "usage", "pieces", "error"}, …]
import { createRequire } from "node:module";
import { text } from "node:stream/consumers";
import { pathToFileURL } from "node:url";

const [folder, url] = process.argv.slice(2);
const { default: OpenAI } = await import(pathToFileURL(createRequire(`${folder}/`).resolve("openai")));
const client = new OpenAI({ baseURL: `${url}/v1`, apiKey: process.env.API_KEY ?? "of nobody", timeout: 20_000, maxRetries: 2 });
const LEAVES_AFTER = 4;

function takeCompletion(completion, outcome) {
  const [{ message, finish_reason }] = completion.choices;
  outcome.text = message.content ?? "";
  outcome.thinking = message.reasoning_content ?? "";
  outcome.finish = finish_reason;
  outcome.calls = (message.tool_calls ?? []).map(({ id, function: { name, arguments: given } }) => ({
    id,
    name,
    arguments: given,
  }));
  if (completion.usage) outcome.usage = [completion.usage.prompt_tokens, completion.usage.completion_tokens];
}

function takeChunk(chunk, outcome) {
  outcome.pieces += 1;
  if (chunk.usage) outcome.usage = [chunk.usage.prompt_tokens, chunk.usage.completion_tokens];
  for (const { delta, finish_reason } of chunk.choices) {
    outcome.finish = finish_reason ?? outcome.finish;
    outcome.text += delta.content ?? "";
    outcome.thinking += delta.reasoning_content ?? "";
    for (const call of delta.tool_calls ?? [])
      outcome.calls[call.index] = { id: call.id, name: call.function.name, arguments: call.function.arguments };
  }
}

function takeResponse(response, outcome) {
  outcome.finish = response.status;
  for (const item of response.output) {
    if (item.type === "message") outcome.text += item.content.map((part) => part.text).join("");
    if (item.type === "reasoning") outcome.thinking += item.summary.map((part) => part.text).join("");
    if (item.type === "function_call")
      outcome.calls.push({ id: item.call_id, name: item.name, arguments: item.arguments });
  }
  if (response.usage) outcome.usage = [response.usage.input_tokens, response.usage.output_tokens];
}

async function chat(how, given, outcome) {
  if (how === "whole") return takeCompletion(await client.chat.completions.create(given), outcome);
  if (how === "helper") {
    const stream = client.chat.completions.stream(given);
    for await (const _ of stream) outcome.pieces += 1;
    return takeCompletion(await stream.finalChatCompletion(), outcome);
  }
  for await (const chunk of await client.chat.completions.create({ ...given, stream: true })) {
    takeChunk(chunk, outcome);
    if (how === "leave" && outcome.pieces === LEAVES_AFTER) break;
  }
}

async function responses(how, given, outcome) {
  if (how === "whole") return takeResponse(await client.responses.create(given), outcome);
  if (how === "helper") {
    const stream = client.responses.stream(given);
    for await (const _ of stream) outcome.pieces += 1;
    return takeResponse(await stream.finalResponse(), outcome);
  }
  for await (const event of await client.responses.create({ ...given, stream: true })) {
    outcome.pieces += 1;
    if (how === "leave" && outcome.pieces === LEAVES_AFTER) break;
    if (["response.completed", "response.incomplete", "response.failed"].includes(event.type))
      takeResponse(event.response, outcome);
  }
}

async function made({ how, api, arguments: given }) {
  const outcome = { text: "", thinking: "", calls: [], finish: null, usage: null, pieces: 0, error: null };
  try {
    await { chat, responses }[api](how, given, outcome);
  } catch (error) {
    outcome.error = {
      class: error.constructor.name,
      status: error.status ?? null,
      code: error.code ?? null,
      type: error.type ?? null,
      param: error.param ?? null,
      message: error.message,
      request_id: error.requestID ?? null,
    };
  }
  return outcome;
}

const outcomes = [];
for (const call of JSON.parse(await text(process.stdin))) outcomes.push(await made(call));
process.stdout.write(JSON.stringify(outcomes));
