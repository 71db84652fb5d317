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

  name = "redis-no-internet"
  nat  = false
}

module "vpc_endpoints" {
  source = "../../modules/vpc-endpoints"

  name                = "redis-no-internet"
  vpc_id              = module.network.vpc_id
  subnet_ids          = module.network.private_subnet_ids
  route_table_ids     = module.network.route_table_ids
  allowed_cidr_blocks = [module.network.cidr_block]
}

# ECR Public and Docker Hub cannot be reached, so the image is copied here once (see README.md).
resource "aws_ecr_repository" "redis" {
  # checkov:skip=CKV_AWS_136: The image is a public one.
  name                 = "redis-no-internet"
  image_tag_mutability = "IMMUTABLE"

  image_scanning_configuration {
    scan_on_push = true
  }
}

module "redis_cluster" {
  source = "../.."

  cluster_name       = "redis-no-internet"
  redis_image        = "${aws_ecr_repository.redis.repository_url}:7.2"
  vpc_id             = module.network.vpc_id
  private_subnet_ids = module.vpc_endpoints.subnet_ids
}

output "redis_connection_string" {
  description = "URL that clients in the VPC connect to."
  value       = module.redis_cluster.redis_connection_string
}

output "commands" {
  description = "AWS CLI commands for a first look."
  value       = module.redis_cluster.commands
}

output "repository_url" {
  description = "Where the image goes."
  value       = aws_ecr_repository.redis.repository_url
}
