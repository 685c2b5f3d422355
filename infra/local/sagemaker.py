"""SageMaker's two faces on loopback: the runtime's invoke calls, and the control plane of `components`.

Each engine stands behind an endpoint with one inference component of the same name.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import partial
from urllib.parse import unquote, urlsplit
from uuid import uuid4

from infra.local import event_stream
from infra.local.components import Components
from infra.local.credentials import ACCOUNT_ID, CREDENTIALS, REGION
from infra.local.engine_plug import EngineAnswer, EnginePlug, Refusal, StreamFault
from infra.local.http_server import Reply, Request
from infra.local.signature import SignatureCheck

_INVOKE = re.compile(r"/endpoints/(?P<name>[^/]+)/(?P<how>invocations|invocations-response-stream)")
_VARIANT = {"x-Amzn-Invoked-Production-Variant": "AllTraffic"}


class SageMaker:
    """The handler of the stand-in's server."""

    def __init__(self, engines: Mapping[str, EnginePlug]) -> None:
        self._engines = engines
        self._signatures = SignatureCheck(
            CREDENTIALS, region=REGION, service="sagemaker", now=partial(datetime.now, UTC)
        )
        self._components = Components(engines)

    async def __call__(self, request: Request, reply: Reply) -> None:
        """Answer one request as AWS would."""
        request_id = {"x-amzn-RequestId": str(uuid4())}
        target = request.headers.get("x-amz-target")
        try:
            self._signatures.verify(request)
            if target is not None:
                await self._control(target.removeprefix("SageMaker."), request, reply, request_id)
            else:
                await self._invoke(request, reply, request_id)
        except Refusal as refusal:
            await _send_refusal(refusal, reply, request_id, json_1_1=target is not None)

    async def _invoke(self, request: Request, reply: Reply, request_id: dict[str, str]) -> None:
        path = _INVOKE.fullmatch(urlsplit(request.target).path)
        if path is None or request.method != "POST":
            raise Refusal(404, "UnknownOperationException", "")
        name = unquote(path["name"])
        engine = self._engine(name, request.headers.get("x-amzn-sagemaker-inference-component"))
        async with engine.answer(request.body) as answer:
            if answer.status != 200:
                raise await _model_error(name, answer)
            headers = request_id | _VARIANT
            if path["how"] == "invocations":
                body = b"".join([part async for part in answer.parts])
                await reply.send(200, headers | {"Content-Type": answer.content_type}, body)
            else:
                await _stream(answer, reply, headers)

    def _engine(self, name: str, component: str | None) -> EnginePlug:
        if name not in self._engines:
            raise Refusal(400, "ValidationError", f"Endpoint {name} of account {ACCOUNT_ID} not found.")
        if component is None:
            raise Refusal(
                400,
                "ValidationError",
                "Inference Component Name header is required for endpoints to which you plan to deploy inference "
                "components. Please include Inference Component Name header or consider using SageMaker models.",
                {"ErrorCode": "INFERENCE_COMPONENT_NAME_MISSING"},
            )
        if component != name:
            raise Refusal(400, "ValidationError", f"Inference Component {component} of account {ACCOUNT_ID} not found.")
        if not self._components.in_service(name):
            raise Refusal(
                400,
                "ValidationError",
                "Inference Component has no capacity to process this request. ApplicationAutoScaling may be in-progress"
                " (if configured) or try to increase the capacity by invoking UpdateInferenceComponentRuntimeConfig"
                " API.",
            )
        return self._engines[name]

    async def _control(self, operation: str, request: Request, reply: Reply, request_id: dict[str, str]) -> None:
        answer = self._components.call(operation, json.loads(request.body))
        headers = request_id | {"Content-Type": "application/x-amz-json-1.1"}
        await reply.send(200, headers, json.dumps(answer).encode())


async def _stream(answer: EngineAnswer, reply: Reply, headers: dict[str, str]) -> None:
    content_types = {"Content-Type": event_stream.CONTENT_TYPE, "X-Amzn-SageMaker-Content-Type": answer.content_type}
    await reply.start(200, headers | content_types)
    try:
        async for part in answer.parts:
            await reply.write(event_stream.encode_payload_part(part))
    except StreamFault as fault:
        fields = {"Message": fault.message} | ({"ErrorCode": fault.error_code} if fault.error_code else {})
        await reply.write(event_stream.encode_exception(fault.kind, fields))


async def _model_error(endpoint: str, answer: EngineAnswer) -> Refusal:
    text = b"".join([part async for part in answer.parts]).decode(errors="replace")
    blame = "client" if answer.status < 500 else "server"
    console = (
        f"https://{REGION}.console.aws.amazon.com/cloudwatch/home?region={REGION}"
        f"#logEventViewer:group=/aws/sagemaker/Endpoints/{endpoint}"
    )
    return Refusal(
        424,
        "ModelError",
        f'Received {blame} error ({answer.status}) from primary with message "{text}". '
        f"See {console} in account {ACCOUNT_ID} for more information.",
        {"OriginalStatusCode": answer.status, "OriginalMessage": text, "LogStreamArn": ""},
    )


async def _send_refusal(refusal: Refusal, reply: Reply, request_id: dict[str, str], *, json_1_1: bool) -> None:
    if json_1_1:
        fields: dict[str, str | int] = {"__type": refusal.code, "message": refusal.message}
        headers = {"Content-Type": "application/x-amz-json-1.1"}
    else:
        fields = {"Message": refusal.message, **refusal.fields}
        headers = {"Content-Type": "application/json", "x-amzn-errortype": refusal.code}
    await reply.send(refusal.status, headers | request_id, json.dumps(fields).encode())
