// Vercel's AI SDK with its OpenAI-compatible provider: text, a stream, an object by schema, a tool.
import { createOpenAICompatible } from "@ai-sdk/openai-compatible";
import { generateText, Output, streamText, tool } from "ai";
import { z } from "zod";
import { API_KEY, BASE_URL, MODEL, report } from "./report.mjs";

const provider = createOpenAICompatible({
  name: "studiolm",
  apiKey: API_KEY,
  baseURL: `${BASE_URL}/v1`,
  includeUsage: true,
  supportsStructuredOutputs: true,
});
const asked = {
  model: provider(MODEL),
  system: "You are a helpful assistant.",
  prompt: "What is the capital of France?",
  temperature: 0,
};

const whole = await generateText(asked);

const stream = streamText(asked);
let streamed = "";
for await (const delta of stream.textStream) streamed += delta;

const object = await generateText({
  ...asked,
  maxOutputTokens: 120,
  output: Output.object({ schema: z.object({ city: z.string().max(20) }) }),
});

const called = await generateText({
  ...asked,
  prompt: "What is 2 plus 3?",
  tools: { add: tool({ inputSchema: z.object({ a: z.number().int().max(99), b: z.number().int().max(99) }) }) },
  toolChoice: "required",
  maxOutputTokens: 200,
});

let refused = null;
try {
  await generateText({ ...asked, model: provider("gpt-nonesuch"), maxRetries: 0 });
} catch (error) {
  refused = { status: error.statusCode, message: error.message };
}

report({
  whole: whole.text,
  finishReason: whole.finishReason,
  usage: { input: whole.usage.inputTokens, output: whole.usage.outputTokens },
  streamed,
  streamedUsage: await stream.usage.then(({ inputTokens: input, outputTokens: output }) => ({ input, output })),
  object: object.output,
  called: called.toolCalls.map(({ toolName, input }) => ({ toolName, input })),
  refused,
});
