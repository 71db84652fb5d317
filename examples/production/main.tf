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

data "aws_caller_identity" "current" {}

data "aws_partition" "current" {}

module "network" {
  source = "../network"

  name = "redis-production"
}

# One key for data and logs. CloudWatch uses it by itself, and so has to be let.
resource "aws_kms_key" "redis" {
  description         = "Redis Cluster redis-production"
  enable_key_rotation = true

  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [
      {
        Effect    = "Allow"
        Action    = "kms:*"
        Resource  = "*"
        Principal = { AWS = "arn:${data.aws_partition.current.partition}:iam::${data.aws_caller_identity.current.account_id}:root" }
      },
      {
        Effect    = "Allow"
        Action    = ["kms:Decrypt", "kms:DescribeKey", "kms:Encrypt", "kms:GenerateDataKey*", "kms:ReEncrypt*"]
        Resource  = "*"
        Principal = { Service = "logs.us-east-1.amazonaws.com" }
        Condition = { ArnLike = { "kms:EncryptionContext:aws:logs:arn" = "arn:${data.aws_partition.current.partition}:logs:us-east-1:${data.aws_caller_identity.current.account_id}:log-group:*" } }
      },
      {
        # Fargate makes a data key for each task's disk, and passes it on by a grant.
        Effect    = "Allow"
        Action    = ["kms:GenerateDataKeyWithoutPlaintext"]
        Resource  = "*"
        Principal = { Service = "fargate.amazonaws.com" }
        Condition = { StringEquals = { "kms:EncryptionContext:aws:ecs:clusterAccount" = data.aws_caller_identity.current.account_id } }
      },
      {
        Effect    = "Allow"
        Action    = ["kms:CreateGrant"]
        Resource  = "*"
        Principal = { Service = "fargate.amazonaws.com" }
        Condition = {
          StringEquals                = { "kms:EncryptionContext:aws:ecs:clusterAccount" = data.aws_caller_identity.current.account_id }
          "ForAllValues:StringEquals" = { "kms:GrantOperations" = ["Decrypt"] }
        }
      },
    ]
  })
}

# Clients are in this group, and nowhere else.
resource "aws_security_group" "clients" {
  # checkov:skip=CKV2_AWS_5: The clients will be in it.
  name_prefix = "redis-clients-"
  description = "Clients of redis-production"
  vpc_id      = module.network.vpc_id
}

module "redis_cluster" {
  source = "../.."

  cluster_name               = "redis-production"
  redis_version              = "8.2"
  vpc_id                     = module.network.vpc_id
  private_subnet_ids         = module.network.private_subnet_ids
  cloudmap_namespace         = "redis-cluster.production.internal"
  master_count               = 3
  replica_count              = 6
  task_cpu                   = 2048
  task_memory                = 8192
  cpu_architecture           = "ARM64"
  ephemeral_storage_gib      = 50
  allowed_cidr_blocks        = []
  allowed_security_group_ids = [aws_security_group.clients.id]
  auth                       = { generate_password = true }
  kms_key_arn                = aws_kms_key.redis.arn
  cloudwatch_kms_key_id      = aws_kms_key.redis.arn
  container_insights         = "enhanced"
  enable_execute_command     = true
  redis_exporter             = { enabled = true }

  redis_config = {
    maxmemory_policy        = "allkeys-lfu"
    timeout                 = 300
    tcp_keepalive           = 60
    appendonly              = true
    appendfsync             = "everysec"
    cluster_node_timeout    = 5000
    repl_backlog_size       = "64mb"
    slowlog_log_slower_than = 10000
    slowlog_max_len         = 256
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
