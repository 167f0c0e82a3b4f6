// Makes the calls that come as JSON on stdin by the AI SDK, and prints what it made of them.
//
//   node ai_sdk_calls.mjs <folder with node_modules> <base url> < [{"how": …, "arguments": {…}}, …]
//   → [{"message": …, "status": …, "error": …, "text": …, …}, …]
//
// chat: a page's chat (AbstractChat, as useChat has it) at /api/ui/chat; each chunk is checked by the SDK's own schema.
// resume: the same, left in the middle and come back to by another chat of the same id. stop: likewise, and stopped.
// stream, generate, object: streamText, generateText and generateObject at /v1, by its providers for Anthropic, for
// OpenAI (which asks /v1/responses) and for whatever is compatible (/v1/chat/completions); each checks what it is sent.
import { createRequire } from "node:module";
import { text } from "node:stream/consumers";

const [folder, baseURL] = process.argv.slice(2);
const require = createRequire(`${folder}/`);
const ai = await import(require.resolve("ai"));
const { createAnthropic } = await import(require.resolve("@ai-sdk/anthropic"));
const { createOpenAI } = await import(require.resolve("@ai-sdk/openai"));
const { createOpenAICompatible } = await import(require.resolve("@ai-sdk/openai-compatible"));
const api = `${baseURL}/api/ui/chat`;
const place = { baseURL: `${baseURL}/v1`, apiKey: process.env.API_KEY ?? "of nobody" };
const PROVIDERS = {
  anthropic: createAnthropic(place),
  openai: createOpenAI(place),
  compatible: createOpenAICompatible({ name: "sluice", includeUsage: true, supportsStructuredOutputs: true, ...place }),
};
const LEAVES_AFTER = 4;
globalThis.AI_SDK_LOG_WARNINGS = false; // stdout is the answer's

// What useChat keeps in React, kept in an object.
class Kept {
  status = "ready";
  error = undefined;
  messages;
  constructor(messages = []) {
    this.messages = messages;
  }
  pushMessage = (message) => this.messages.push(message);
  popMessage = () => this.messages.pop();
  replaceMessage = (index, message) => (this.messages[index] = message);
  snapshot = (value) => structuredClone(value);
}

class Chat extends ai.AbstractChat {
  constructor({ id, body, messages, seen }) {
    const transport = new Checked({ api, body }, seen);
    super({ id, transport, state: new Kept(messages) });
  }
}

// The client's own transport; what it was sent is checked by the schema that it goes by, and noted.
class Checked extends ai.DefaultChatTransport {
  constructor(options, seen) {
    super(options);
    this.seen = seen;
  }
  processResponseStream(stream) {
    const { seen } = this;
    const check = new TransformStream({
      async transform(chunk, controller) {
        const valid = await ai.uiMessageChunkSchema().validate(chunk);
        seen.push(valid.success ? chunk.type : `not valid: ${JSON.stringify(chunk)}`);
        controller.enqueue(chunk);
      },
    });
    return super.processResponseStream(stream).pipeThrough(check);
  }
}

const told = (chat, seen) => ({
  message: chat.lastMessage ?? null,
  messages: chat.messages.length,
  status: chat.status,
  error: chat.error?.message ?? null,
  chunks: seen,
});

const until = async (isSo) => {
  while (!isSo()) await new Promise((resolve) => setTimeout(resolve, 5));
};

const textOf = (chat) => chat.lastMessage?.role === "assistant" && chat.lastMessage.parts.some((part) => part.text);

const HOW = {
  async chat({ text: said = "hello", files, messages, id, ...body }) {
    const seen = [];
    const chat = new Chat({ id, body, messages, seen });
    await chat.sendMessage(messages ? undefined : { text: said, files });
    return told(chat, seen);
  },
  async resume({ id, ...body }) {
    const [first, second] = [[], []];
    const asking = new Chat({ id, body: { ...body, on_disconnect: "continue" }, seen: first });
    const sent = asking.sendMessage({ text: "hello" });
    await until(() => textOf(asking));
    await asking.stop();
    await sent;
    const back = new Chat({ id, body: {}, messages: asking.messages.slice(0, 1), seen: second });
    await back.resumeStream();
    const after = new Chat({ id, body: {}, messages: [], seen: [] });
    await after.resumeStream(); // it is over: 204
    return { ...told(back, second), first: asking.lastMessage, after: after.messages.length };
  },
  async stop({ id, ...body }) {
    const seen = [];
    const chat = new Chat({ id, body: { ...body, on_disconnect: "continue" }, seen });
    const sent = chat.sendMessage({ text: "hello" });
    await until(() => textOf(chat));
    const stop = () => fetch(`${api}/${id}/stop`, { method: "POST" });
    const [stopped, again] = [(await stop()).status, (await stop()).status];
    await sent;
    return { ...told(chat, seen), stopped, again };
  },
  async leave({ provider, model }) {
    const leaving = new AbortController();
    const { textStream } = ai.streamText({
      model: PROVIDERS[provider](model),
      prompt: "hello",
      abortSignal: leaving.signal,
      onError() {},
    });
    let pieces = 0;
    for await (const _ of textStream) if ((pieces += 1) === LEAVES_AFTER) leaving.abort();
    return { pieces, error: null };
  },
  async stream({ provider = "anthropic", model, prompt = "hello", tools, ...given }) {
    const errors = [];
    const onError = ({ error }) => errors.push(`${error.name}: ${error.message}`);
    const result = ai.streamText({ model: PROVIDERS[provider](model), prompt, tools: made(tools), onError, ...given });
    const parts = [];
    for await (const part of result.fullStream) parts.push(part.type);
    if (errors.length) return { error: errors[0], parts };
    return { ...(await said(result)), parts, error: null };
  },
  async generate({ provider = "anthropic", model, messages, tools, ...given }) {
    const asked = messages ? { messages } : { prompt: "hello" };
    const answer = await ai.generateText({ model: PROVIDERS[provider](model), tools: made(tools), ...asked, ...given });
    return { ...(await said(answer)), error: null };
  },
  async object({ provider = "anthropic", model, schema }) {
    const asked = { model: PROVIDERS[provider](model), prompt: "hello", schema: ai.jsonSchema(schema) };
    return { object: (await ai.generateObject(asked)).object, error: null };
  },
};

// Tools as JSON: the SDK wants their schemas wrapped; nothing is executed.
const made = (tools) =>
  tools && Object.fromEntries(tools.map(({ name, schema }) => [name, ai.tool({ inputSchema: ai.jsonSchema(schema) })]));

const said = async (result) => ({
  text: await result.text,
  reasoning: await result.reasoningText,
  calls: (await result.toolCalls).map(({ toolName, input }) => ({ name: toolName, input })),
  finish: await result.finishReason,
  usage: await result.usage,
});

const outcomes = [];
for (const { how, arguments: given } of JSON.parse(await text(process.stdin))) {
  try {
    outcomes.push(await HOW[how](given));
  } catch (error) {
    outcomes.push({ error: `${error.name}: ${error.message}`, status: error.statusCode ?? null });
  }
}
process.stdout.write(JSON.stringify(outcomes));
