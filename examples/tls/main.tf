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

# The output of certificates.sh: JSON with the PEM texts cert, key and ca. It goes into the secret, and
# neither into the state nor into a plan.
variable "certificates" {
  type        = string
  description = "JSON with cert, key and ca."
  ephemeral   = true
  sensitive   = true
}

variable "certificates_version" {
  type        = number
  description = "Raise it to store new certificates."
  default     = 1
}

resource "aws_secretsmanager_secret" "tls" {
  # checkov:skip=CKV2_AWS_57: Nodes read their certificates when they start.
  # checkov:skip=CKV_AWS_149: AWS' own key does for an example.
  name_prefix = "redis-tls-"
  description = "Certificates of the Redis Cluster redis-tls"
}

resource "aws_secretsmanager_secret_version" "tls" {
  secret_id                = aws_secretsmanager_secret.tls.id
  secret_string_wo         = var.certificates
  secret_string_wo_version = var.certificates_version
}

module "network" {
  source = "../network"

  name = "redis-tls"
}

module "redis_cluster" {
  source = "../.."

  cluster_name       = "redis-tls"
  vpc_id             = module.network.vpc_id
  private_subnet_ids = module.network.private_subnet_ids
  auth               = { generate_password = true }
  # By way of the version, so that there are certificates when the first task starts.
  tls = { secret_arn = aws_secretsmanager_secret_version.tls.secret_id }
}

output "redis_connection_string" {
  description = "URL that clients in the VPC connect to."
  value       = module.redis_cluster.redis_connection_string
}

output "commands" {
  description = "AWS CLI commands for a first look."
  value       = module.redis_cluster.commands
}
