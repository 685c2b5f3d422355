// What every script here prints in the end: one line of JSON that the test reads.
export const { BASE_URL, API_KEY, MODEL } = process.env;

export const CAPITAL = [
  { role: "system", content: "You are a helpful assistant." },
  { role: "user", content: "What is the capital of France?" },
];

export function report(value) {
  process.stdout.write(`${JSON.stringify(value)}\n`);
}
