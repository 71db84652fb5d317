"""The project's error tree; each room defines its own leaves.

RedisFargateError
├── TemporaryError            try again: the next run may well succeed
│   ├── nodes.errors          NodeUnreachable, StepFailed, StillMoving …
│   ├── aws.errors            AwsUnavailable, LeaseLost, MarkerChanged
│   └── controller.handler    RunFailed
└── PermanentError            trying again changes nothing until somebody does something
    ├── InvalidSpecError
    ├── nodes.errors          AuthenticationFailed, NotInClusterMode
    ├── aws.errors            AccessDenied, AwsRefused
    ├── controller            InvalidSettings, InvalidEvent
    └── local.errors          LocalCloudError, and all that the local cloud refuses

A message says what is wrong, with which value, and what to do about it.
"""


class RedisFargateError(Exception):
    """The root: whoever catches this has caught everything that we raise on purpose."""


class TemporaryError(RedisFargateError):
    """Something that may pass by itself; the next run tries again."""


class PermanentError(RedisFargateError):
    """Something that stays as it is until a person changes it."""


class InvalidSpecError(PermanentError):
    """What is wanted cannot be had from any Redis Cluster."""
