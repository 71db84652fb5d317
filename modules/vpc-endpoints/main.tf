# What the tasks and the controller ask of AWS in subnets that have no way to the internet.

terraform {
  required_version = ">= 1.11"

  required_providers {
    aws = {
      source  = "hashicorp/aws"
      version = ">= 6.0"
    }
  }
}

data "aws_region" "current" {}

locals {
  interfaces = toset(concat(
    [
      "data-servicediscovery",
      "ecr.api",
      "ecr.dkr",
      "ecs",
      "logs",
      "secretsmanager",
    ],
    var.enable_execute_command ? ["ssmmessages"] : [],
  ))
  # DynamoDB for the controller's table, S3 for the images' layers.
  gateways = toset(["dynamodb", "s3"])
}

resource "aws_security_group" "this" {
  name_prefix = "${var.name}-endpoints-"
  description = "VPC endpoints of ${var.name}"
  vpc_id      = var.vpc_id
  tags        = merge(var.tags, { Name = "${var.name}-endpoints" })

  lifecycle {
    create_before_destroy = true
  }
}

resource "aws_vpc_security_group_ingress_rule" "this" {
  count = length(var.allowed_cidr_blocks)

  security_group_id = aws_security_group.this.id
  description       = "HTTPS from the subnets"
  cidr_ipv4         = var.allowed_cidr_blocks[count.index]
  ip_protocol       = "tcp"
  from_port         = 443
  to_port           = 443
  tags              = var.tags
}

resource "aws_vpc_endpoint" "interface" {
  for_each = local.interfaces

  vpc_id              = var.vpc_id
  service_name        = "com.amazonaws.${data.aws_region.current.id}.${each.key}"
  vpc_endpoint_type   = "Interface"
  private_dns_enabled = true
  security_group_ids  = [aws_security_group.this.id]
  subnet_ids          = var.subnet_ids
  tags                = merge(var.tags, { Name = "${var.name}-${each.key}" })
}

resource "aws_vpc_endpoint" "gateway" {
  for_each = local.gateways

  vpc_id            = var.vpc_id
  service_name      = "com.amazonaws.${data.aws_region.current.id}.${each.key}"
  vpc_endpoint_type = "Gateway"
  route_table_ids   = var.route_table_ids
  tags              = merge(var.tags, { Name = "${var.name}-${each.key}" })
}
