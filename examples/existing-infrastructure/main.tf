terraform {
  required_version = ">= 1.11"

  required_providers {
    aws = {
      source  = "hashicorp/aws"
      version = ">= 6.0"
    }
  }
}

provider "aws" {
  region = "us-east-1"
}

# Everything that there already is, by name. Change these to yours.
locals {
  vpc         = "main"
  tier        = "private"
  ecs_cluster = "main"
  namespace   = "internal.example.com"
  secret      = "redis/password"
}

data "aws_vpc" "this" {
  tags = { Name = local.vpc }
}

data "aws_subnets" "private" {
  filter {
    name   = "vpc-id"
    values = [data.aws_vpc.this.id]
  }

  tags = { Tier = local.tier }
}

data "aws_ecs_cluster" "this" {
  cluster_name = local.ecs_cluster
}

data "aws_service_discovery_dns_namespace" "this" {
  name = local.namespace
  type = "DNS_PRIVATE"
}

data "aws_secretsmanager_secret" "password" {
  name = local.secret
}

module "redis_cluster" {
  source = "../.."

  cluster_name         = "redis-existing"
  vpc_id               = data.aws_vpc.this.id
  private_subnet_ids   = data.aws_subnets.private.ids
  existing_ecs_cluster = { arn = data.aws_ecs_cluster.this.arn }
  cloudmap_namespace   = "redis.${local.namespace}"
  existing_namespace   = { id = data.aws_service_discovery_dns_namespace.this.id }
  auth                 = { password_secret_arn = data.aws_secretsmanager_secret.password.arn }
}

output "redis_connection_string" {
  description = "URL that clients in the VPC connect to."
  value       = module.redis_cluster.redis_connection_string
}

output "commands" {
  description = "AWS CLI commands for a first look."
  value       = module.redis_cluster.commands
}
