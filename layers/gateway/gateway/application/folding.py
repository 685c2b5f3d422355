"""The buffered and the queued face: a run's pieces folded into one whole answer."""

from __future__ import annotations

from typing import Any

from gateway.application.generation import Order, Run
from gateway.domain.answer import ChoiceFold, Ending, Extra, whole_answer


async def fold_answer(order: Order, run: Run) -> bytes:
    """The body of the whole answer. Raises the GatewayError that the generation breaks off with."""
    folds = {choice.index: ChoiceFold(choice.index) for choice in order.choices}
    extra: dict[str, Any] = {}
    async for batch in run.pieces():
        for item in batch:
            if isinstance(item, Extra):
                extra |= item.fields
            elif isinstance(item, Ending):
                folds[item.choice].reason = item.reason
            else:
                folds[item.choice].add(item)
    return whole_answer(
        kind=order.kind,
        request_id=order.request_id,
        created=run.created,
        model=order.model.id,
        choices=[fold.to_json(order.kind) for fold in folds.values()],
        usage=run.usage,
        extra=extra,
    )
