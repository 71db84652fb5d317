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

locals {
  environments = {
    dev = {
      master_count  = 1
      replica_count = 1
      task_cpu      = 256
      task_memory   = 512
    }
    staging = {
      master_count  = 2
      replica_count = 2
      task_cpu      = 512
      task_memory   = 1024
    }
    production = {
      master_count  = 3
      replica_count = 6
      task_cpu      = 1024
      task_memory   = 4096
    }
  }
}

module "network" {
  source = "../network"

  name = "redis-environments"
}

# One namespace for all of them: dev.redis.internal, staging.redis.internal, production.redis.internal.
resource "aws_service_discovery_private_dns_namespace" "redis" {
  name = "redis.internal"
  vpc  = module.network.vpc_id
}

module "redis_cluster" {
  source   = "../.."
  for_each = local.environments

  cluster_name       = "redis-${each.key}"
  vpc_id             = module.network.vpc_id
  private_subnet_ids = module.network.private_subnet_ids
  cloudmap_namespace = "${each.key}.redis.internal"
  existing_namespace = { id = aws_service_discovery_private_dns_namespace.redis.id }
  master_count       = each.value.master_count
  replica_count      = each.value.replica_count
  task_cpu           = each.value.task_cpu
  task_memory        = each.value.task_memory
  tags               = { Environment = each.key }
}

output "redis_connection_strings" {
  description = "Environment to the URL that its clients connect to."
  value       = { for name, cluster in module.redis_cluster : name => cluster.redis_connection_string }
}
