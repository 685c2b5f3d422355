#!/bin/sh
# Started by the Lambda Web Adapter in the function's folder; it waits for /health and then proxies invocations.
exec python3 -m uvicorn app:app --host 127.0.0.1 --port "${AWS_LWA_PORT:-8080}" --no-access-log --log-level warning --http httptools --timeout-keep-alive 900
