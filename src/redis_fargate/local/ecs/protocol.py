"""ECS' wire protocol, AWS JSON 1.1: requests checked against botocore's model of ECS, answers."""

import json
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from botocore.loaders import Loader
from botocore.model import (
    ListShape,
    MapShape,
    OperationNotFoundError,
    ServiceModel,
    Shape,
    StringShape,
    StructureShape,
)
from botocore.validate import ParamValidator

from redis_fargate.local.ecs.errors import EcsError, invalid_parameter
from redis_fargate.local.ecs.model import Json

Answer = tuple[int, dict[str, str], bytes]

_HEADERS = {"Content-Type": "application/x-amz-json-1.1"}


def load_model() -> ServiceModel:
    """Load botocore's model of ECS."""
    return ServiceModel(Loader().load_service_model("ecs", "service-2"), "ecs")


class Wire:
    """Reads requests and writes answers, as the model of ECS says."""

    def __init__(self) -> None:
        self._model = load_model()
        self._validator = ParamValidator()

    def read(self, operation: str, body: bytes) -> Json:
        """Read a request's parameters.

        Raises:
            EcsError: the operation is not one of ECS', or the parameters are not the operation's.

        """
        try:
            shape = self._model.operation_model(operation).input_shape
        except OperationNotFoundError:
            raise EcsError(
                "UnknownOperationException", f"ECS has no operation {operation!r}."
            ) from None
        if shape is None:
            return {}
        try:
            request: Any = json.loads(body or b"{}")
        except ValueError as error:
            raise EcsError(
                "SerializationException", f"The request is not JSON: {error}."
            ) from error
        if not isinstance(request, dict):
            raise EcsError("SerializationException", "The request is not a JSON object.")
        given: Json = {k: _without_nulls(v) for k, v in request.items() if v is not None}
        report = self._validator.validate(given, shape)
        if report.has_errors():
            text = report.generate_report()
            wrong_form = "Unknown parameter" in text or "Invalid type" in text
            raise EcsError(
                "SerializationException" if wrong_form else "InvalidParameterException", text
            )
        _check_values(shape, given, "")
        return given

    @staticmethod
    def answer(result: Json) -> Answer:
        """Write the answer to an operation that was carried out."""
        return 200, dict(_HEADERS), json.dumps(result, default=_timestamp).encode()

    @staticmethod
    def refusal(error: EcsError) -> Answer:
        """Write the answer to an operation that was refused."""
        body = json.dumps({"__type": error.code, "message": error.message}).encode()
        status = 500 if error.code == "ServerException" else 400
        return status, {**_HEADERS, "x-amzn-errortype": error.code}, body


def _timestamp(value: object) -> float:
    if isinstance(value, datetime):
        return round(value.timestamp(), 3)
    raise TypeError(f"{value!r} is nothing that an answer can hold")


def _without_nulls(value: Any) -> Any:  # noqa: ANN401 - JSON
    """Drop members that are null: to AWS they are members that were not given."""
    if isinstance(value, dict):
        return {name: _without_nulls(item) for name, item in value.items() if item is not None}
    if isinstance(value, list):
        return [_without_nulls(item) for item in value]
    return value


def _check_values(shape: Shape | None, value: Any, path: str) -> None:  # noqa: ANN401 - JSON
    """Check what botocore leaves to AWS: enumerations and upper bounds."""
    match shape:
        case StructureShape():
            _check_members(shape.members, value, path)
        case ListShape():
            _check_length(shape, value, path)
            for position, item in enumerate(value):
                _check_values(shape.member, item, f"{path}[{position}]")
        case MapShape():
            for name, item in value.items():
                _check_values(shape.value, item, f"{path}.{name}")
        case StringShape():
            if shape.enum and value not in shape.enum:
                raise invalid_parameter(
                    f"Value {value!r} at {path!r} failed to satisfy constraint: "
                    f"Member must satisfy enum value set: [{', '.join(shape.enum)}]"
                )
            _check_length(shape, value, path)
        case Shape(type_name="integer" | "long" | "double" | "float"):
            most = shape.metadata.get("max")
            if most is not None and value > most:
                raise invalid_parameter(
                    f"Value {value} at {path!r} failed to satisfy constraint: "
                    f"Member must have value less than or equal to {most}"
                )
        case _:
            pass


def _check_members(members: Mapping[str, Shape], value: Json, path: str) -> None:
    for name, item in value.items():
        _check_values(members[name], item, f"{path}.{name}" if path else name)


def _check_length(shape: Shape, value: list[Any] | str, path: str) -> None:
    most = shape.metadata.get("max")
    if most is not None and len(value) > most:
        raise invalid_parameter(
            f"Value at {path!r} failed to satisfy constraint: "
            f"Member must have length less than or equal to {most}"
        )
