"""Small Lambda functions for the tests."""

import io
import zipfile

from redis_fargate.local.clients import Clients


def create_function(clients: Clients, name: str, source: str, **more: str) -> str:
    """Create a function from the text of its module, and of more modules; its ARN."""
    package = io.BytesIO()
    with zipfile.ZipFile(package, "w") as archive:
        archive.writestr("index.py", source)
        for path, text in more.items():
            archive.writestr(f"{path}.py", text)
    answer = clients.functions.create_function(
        FunctionName=name,
        Runtime="python3.12",
        Role="arn:aws:iam::000000000000:role/any",
        Handler="index.handler",
        Code={"ZipFile": package.getvalue()},
        Timeout=60,
    )
    return answer["FunctionArn"]
