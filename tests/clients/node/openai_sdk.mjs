// The `openai` package for Node: whole, streamed, a forced tool, an error, the models.
import OpenAI from "openai";
import { API_KEY, BASE_URL, CAPITAL, MODEL, report } from "./report.mjs";

const client = new OpenAI({ apiKey: API_KEY, baseURL: `${BASE_URL}/v1` });
const asked = { model: MODEL, messages: CAPITAL, temperature: 0 };

const whole = await client.chat.completions.create(asked);

let streamed = "";
let usage = null;
const stream = await client.chat.completions.create({
  ...asked,
  stream: true,
  stream_options: { include_usage: true },
});
for await (const chunk of stream) {
  streamed += chunk.choices[0]?.delta?.content ?? "";
  usage = chunk.usage ?? usage;
}

const called = await client.chat.completions.create({
  model: MODEL,
  messages: [{ role: "user", content: "What is 2 plus 3?" }],
  tools: [
    {
      type: "function",
      function: {
        name: "add",
        parameters: {
          type: "object",
          properties: { a: { type: "integer" }, b: { type: "integer" } },
          required: ["a", "b"],
        },
      },
    },
  ],
  tool_choice: "required",
  parallel_tool_calls: false,
  max_tokens: 200,
});

let refused = null;
try {
  await client.chat.completions.create({ ...asked, model: "gpt-nonesuch" });
} catch (error) {
  refused = { name: error.constructor.name, status: error.status, type: error.type, param: error.param };
}

const models = [];
for await (const model of client.models.list()) models.push(model.id);

report({
  whole: whole.choices[0].message.content,
  streamed,
  usage,
  expectedUsage: whole.usage,
  arguments: JSON.parse(called.choices[0].message.tool_calls[0].function.arguments),
  refused,
  models,
});
