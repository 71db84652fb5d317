"""Operations on account settings; the local ECS keeps them, and nothing depends on them."""

from redis_fargate.local.ecs.context import Context
from redis_fargate.local.ecs.model import Json
from redis_fargate.local.ecs.paging import page

_DEFAULTS = {
    "awsvpcTrunking": "disabled",
    "containerInsights": "disabled",
    "containerInstanceLongArnFormat": "enabled",
    "fargateTaskRetirementWaitPeriod": "7",
    "serviceLongArnFormat": "enabled",
    "tagResourceAuthorization": "off",
    "taskLongArnFormat": "enabled",
}


async def list_account_settings(context: Context, request: Json) -> Json:
    """ListAccountSettings: those that were put, or with ``effectiveSettings`` the defaults too."""
    put = context.store.account_settings
    values = {**_DEFAULTS, **put} if request.get("effectiveSettings") else dict(put)
    names = [
        name
        for name, value in sorted(values.items())
        if request.get("name", name) == name and request.get("value", value) == value
    ]
    answer = page(names, request, "settings")
    answer["settings"] = [_shape(context, name, values[name]) for name in answer["settings"]]
    return answer


async def put_account_setting(context: Context, request: Json) -> Json:
    """PutAccountSetting, and PutAccountSettingDefault: the local account has one user."""
    context.store.account_settings[request["name"]] = request["value"]
    return {"setting": _shape(context, request["name"], request["value"])}


def _shape(context: Context, name: str, value: str) -> Json:
    principal = f"arn:aws:iam::{context.arns.account}:root"
    return {"name": name, "value": value, "principalArn": principal, "type": "user"}
