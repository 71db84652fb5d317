"""ECS, as far as a Redis Cluster on Fargate needs it, for boto3, Terraform and the AWS CLI.

It decides which tasks run; starting them, Cloud Map, EventBridge and EC2 are its far ends
(``redis_fargate.local.ports``). It behaves as AWS documents it.
"""

from redis_fargate.local.ecs.addresses import Addresses
from redis_fargate.local.ecs.ecs import Ecs, FarEnds

__all__ = ["Addresses", "Ecs", "FarEnds"]
