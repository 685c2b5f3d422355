"""The page at /docs: the OpenAPI document for people. Plain HTML, no script and nothing from elsewhere."""

from __future__ import annotations

import json
from collections.abc import Mapping
from html import escape
from typing import Any

_STYLE = """
:root{color-scheme:light dark;--line:#8884;--soft:#8882;--accent:#2563eb}
body{font:16px/1.55 system-ui,sans-serif;max-width:62rem;margin:0 auto;padding:2rem 1.25rem 6rem}
h1{font-size:1.9rem;margin:0 0 .25rem}h2{font-size:1.05rem;margin:0;display:flex;gap:.75rem;align-items:baseline}
code,pre{font:13.5px/1.5 ui-monospace,SFMono-Regular,Menlo,monospace}
pre{background:var(--soft);padding:1rem;border-radius:8px;overflow-x:auto}
section{overflow-x:auto;border:1px solid var(--line);border-radius:10px;padding:1rem 1.25rem;margin:1rem 0}
.method{color:#fff;background:var(--accent);border-radius:5px;padding:.1rem .5rem;font-size:.8rem;font-weight:600}
.delete{background:#dc2626}.post{background:#059669}
table{border-collapse:collapse;width:100%;margin:.75rem 0;font-size:.92rem}
th,td{text-align:left;padding:.4rem .6rem;border-top:1px solid var(--line);vertical-align:top}
th{font-weight:600;border-top:0}summary{cursor:pointer;margin:.5rem 0}p{margin:.4rem 0}
""".strip()

_INT64 = (-(2**63), 2**63 - 1)
_INTRODUCTION = """
<p>Send your key as <code>Authorization: Bearer sk-…</code>. The document behind this page is
<a href="openapi.json">openapi.json</a>.</p>
<pre>curl "$BASE_URL/v1/chat/completions" \\
  -H "Authorization: Bearer $API_KEY" \\
  -H "Content-Type: application/json" \\
  -d '{"model": "MODEL", "messages": [{"role": "user", "content": "What is the capital of France?"}]}'</pre>
""".strip()


def render_docs(document: Mapping[str, Any]) -> str:
    """The page for an OpenAPI document."""
    info = document["info"]
    sections = [
        _section(document, path, method, operation)
        for path, item in document["paths"].items()
        for method, operation in item.items()
        if method != "parameters"
    ]
    return "".join(
        [
            '<!doctype html><html lang="en"><head><meta charset="utf-8">',
            '<meta name="viewport" content="width=device-width, initial-scale=1">',
            f"<title>{escape(info['title'])}</title><style>{_STYLE}</style></head><body>",
            f"<h1>{escape(info['title'])}</h1><p>{escape(info['description'])}</p>{_INTRODUCTION}",
            *sections,
            "</body></html>",
        ]
    )


def _section(document: Mapping[str, Any], path: str, method: str, operation: Mapping[str, Any]) -> str:
    parts = [
        f'<section id="{escape(operation["operationId"])}"><h2><span class="method {method}">{method.upper()}</span>',
        f"<code>{escape(path)}</code></h2><p>{escape(operation['summary'])}</p>",
    ]
    if "requestBody" in operation:
        schema = _resolve(document, operation["requestBody"]["content"]["application/json"]["schema"])
        parts.append(_fields(schema))
    parts.append("<details><summary>Answers</summary><table><tr><th>Status</th><th>When</th><th>Body</th></tr>")
    for status, response in operation["responses"].items():
        names = ", ".join(
            (content.get("itemSchema") or content["schema"])["$ref"].rsplit("/", 1)[1]
            + (" (events)" if "itemSchema" in content else "")
            for content in response.get("content", {}).values()
        )
        parts.append(
            f"<tr><td>{escape(status)}</td><td>{escape(response['description'])}</td><td>{escape(names)}</td></tr>"
        )
    parts.append("</table></details></section>")
    return "".join(parts)


def _fields(schema: Mapping[str, Any]) -> str:
    required = schema.get("required", [])
    fields = sorted(schema["properties"].items(), key=lambda named: named[0] not in required)
    rows = [
        f"<tr><td><code>{escape(name)}</code></td><td>{escape(field.get('description') or _type(field))}</td>"
        f"<td>{'required' if name in required else escape(_default(field))}</td></tr>"
        for name, field in fields
    ]
    return f"<table><tr><th>Field</th><th>Takes</th><th>Default</th></tr>{''.join(rows)}</table>"


def _type(field: Mapping[str, Any]) -> str:
    if "$ref" in field:
        return "object"
    if "anyOf" in field:
        return " or ".join(dict.fromkeys(_type(branch) for branch in field["anyOf"] if branch.get("type") != "null"))
    if "enum" in field or "const" in field:
        return " or ".join(json.dumps(value) for value in field.get("enum", [field.get("const")]))
    kind = field.get("type", "any")
    kind = " or ".join(kind) if isinstance(kind, list) else str(kind)
    low, high = field.get("minimum"), field.get("maximum")
    if (low, high) == _INT64:
        return f"{kind} of 64 bits"
    if low is not None and high is not None:
        return f"{kind}, {low} to {high}"
    return kind if low is None else f"{kind}, at least {low}"


def _default(field: Mapping[str, Any]) -> str:
    return "none" if field.get("default") is None else json.dumps(field["default"])


def _resolve(document: Mapping[str, Any], schema: Mapping[str, Any]) -> Mapping[str, Any]:
    resolved: Mapping[str, Any] = document["components"]["schemas"][schema["$ref"].rsplit("/", 1)[1]]
    return resolved
