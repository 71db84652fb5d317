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

# A network of its own. In production use the one that you have: leave this block out, and give the
# module below your vpc_id and private_subnet_ids, best in three zones.
module "network" {
  source = "../network"

  name = "my-redis-cluster"
}

module "redis_cluster" {
  source = "../.."

  cluster_name       = "my-redis-cluster"
  redis_version      = "7.2"
  vpc_id             = module.network.vpc_id
  private_subnet_ids = module.network.private_subnet_ids
  cloudmap_namespace = "redis-cluster.local"
  master_count       = 3
  replica_count      = 3
  task_cpu           = 1024
  task_memory        = 2048

  redis_config = {
    maxmemory_policy = "allkeys-lru"
    timeout          = 300
  }

  tags = { Environment = "production", ManagedBy = "terraform" }
}

output "redis_connection_string" {
  description = "URL that clients in the VPC connect to."
  value       = module.redis_cluster.redis_connection_string
}

output "commands" {
  description = "AWS CLI commands for a first look."
  value       = module.redis_cluster.commands
}
