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

module "network" {
  source = "../network"

  name = "redis-spot"
}

module "redis_cluster" {
  source = "../.."

  cluster_name       = "redis-spot"
  vpc_id             = module.network.vpc_id
  private_subnet_ids = module.network.private_subnet_ids
  master_count       = 3
  replica_count      = 6

  # As many tasks as there are masters never run on Spot, so that all Spot capacity can go at once.
  capacity_provider_strategy = [
    { capacity_provider = "FARGATE", base = 3, weight = 1 },
    { capacity_provider = "FARGATE_SPOT", weight = 3 },
  ]
}

output "redis_connection_string" {
  description = "URL that clients in the VPC connect to."
  value       = module.redis_cluster.redis_connection_string
}

output "commands" {
  description = "AWS CLI commands for a first look."
  value       = module.redis_cluster.commands
}
