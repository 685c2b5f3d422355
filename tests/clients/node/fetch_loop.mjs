// The loop that beginners write: each read is split on newlines and a partial line is not kept for the next one.
// It sees every token only because each event comes in one write.
import { API_KEY, BASE_URL, MODEL, report } from "./report.mjs";

const response = await fetch(`${BASE_URL}/v1/chat/completions`, {
  method: "POST",
  headers: { Authorization: `Bearer ${API_KEY}`, "Content-Type": "application/json" },
  body: JSON.stringify({
    model: MODEL,
    messages: [{ role: "user", content: "What is the capital of France?" }],
    temperature: 0,
    max_tokens: 120,
    stream: true,
  }),
});

const reader = response.body.getReader();
const decoder = new TextDecoder();
let text = "";
let reads = 0;
let broken = 0;
let done = false;
for (;;) {
  const { value, done: ended } = await reader.read();
  if (ended) break;
  reads += 1;
  for (const line of decoder.decode(value).split("\n")) {
    if (line === "data: [DONE]") {
      done = true;
    } else if (line.startsWith("data: ")) {
      try {
        text += JSON.parse(line.slice(6)).choices[0].delta.content ?? "";
      } catch {
        broken += 1;
      }
    } else if (line !== "" && !line.startsWith(":")) {
      broken += 1;
    }
  }
}
report({ status: response.status, text, reads, broken, done });
