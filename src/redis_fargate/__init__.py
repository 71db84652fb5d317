"""A Redis Cluster on AWS ECS Fargate that forms itself and keeps itself whole."""

__version__ = "0.1.0"
