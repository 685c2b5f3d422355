"""What the terminal shows when everything answers."""

from __future__ import annotations

from collections.abc import Sequence


def greeting(*, models: Sequence[str], base_url: str, api_key: str, aws_endpoint_url: str) -> list[str]:
    """The lines: models, an example for each client, and last the values that scripts read, each alone on a line."""
    model = models[0]
    # Without a system message, or with chance in it, the small default model answers this in French, and wrongly.
    question = (
        '{"role": "system", "content": "You are a helpful assistant."}, '
        '{"role": "user", "content": "What is the capital of France?"}'
    )
    return [
        "",
        "Models: " + ", ".join(models),
        "",
        "curl:",
        f"  curl -N {base_url}/v1/chat/completions -H 'Authorization: Bearer {api_key}' \\",
        "    -H 'Content-Type: application/json' \\",
        f'    -d \'{{"model": "{model}", "stream": true, "temperature": 0, "messages": [{question}]}}\'',
        "",
        "studiolm (pip install studiolm):",
        "  from studiolm import Client",
        f'  client = Client(api_key="{api_key}", base_url="{base_url}")',
        f'  answer = client.chat.completions.create(model="{model}", temperature=0, messages=[{question}])',
        '  print(answer["choices"][0]["message"]["content"])',
        "",
        "openai (pip install openai):",
        "  from openai import OpenAI",
        f'  client = OpenAI(api_key="{api_key}", base_url="{base_url}/v1")',
        f'  answer = client.chat.completions.create(model="{model}", temperature=0, messages=[{question}])',
        "  print(answer.choices[0].message.content)",
        "",
        f"BASE_URL={base_url}",
        f"API_KEY={api_key}",
        f"AWS_ENDPOINT_URL={aws_endpoint_url}",
        "READY",
    ]
