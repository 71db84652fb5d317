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

  name = "redis-high-memory"
}

module "redis_cluster" {
  source = "../.."

  cluster_name       = "redis-high-memory"
  redis_image        = "valkey/valkey:9.1"
  vpc_id             = module.network.vpc_id
  private_subnet_ids = module.network.private_subnet_ids
  cloudmap_namespace = "redis-high-memory.local"
  master_count       = 5
  replica_count      = 5
  task_cpu           = 16384
  task_memory        = 122880
  cpu_architecture   = "ARM64"

  redis_config = {
    maxmemory            = "90gb"
    maxmemory_policy     = "volatile-lru"
    io_threads           = 8
    activedefrag         = true
    lazyfree_lazy_expire = true
    repl_backlog_size    = "512mb"
  }
}

output "redis_connection_string" {
  description = "URL that clients in the VPC connect to."
  value       = module.redis_cluster.redis_connection_string
}

output "commands" {
  description = "AWS CLI commands for a first look."
  value       = module.redis_cluster.commands
}
