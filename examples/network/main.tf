# A VPC for the examples: a private subnet in each of three zones, and one NAT gateway if wanted.
# It is no part of the module; in production use the network that you have.

terraform {
  required_version = ">= 1.11"

  required_providers {
    aws = {
      source  = "hashicorp/aws"
      version = ">= 6.0"
    }
  }
}

variable "name" {
  type        = string
  description = "What the network is named after."
}

variable "nat" {
  type        = bool
  description = "Whether the private subnets reach the internet."
  default     = true
}

variable "cidr_block" {
  type        = string
  description = "Range of the VPC."
  default     = "10.0.0.0/16"
}

data "aws_availability_zones" "available" {
  # checkov:skip=CKV_AWS_394: Any three zones will do for an example.
  state = "available"
}

resource "aws_vpc" "this" {
  # checkov:skip=CKV2_AWS_11: Flow logs are no part of what the examples show.
  # checkov:skip=CKV2_AWS_12: Nothing uses the default security group.
  cidr_block           = var.cidr_block
  enable_dns_hostnames = true
  enable_dns_support   = true
  tags                 = { Name = var.name }
}

resource "aws_subnet" "private" {
  count = 3

  vpc_id            = aws_vpc.this.id
  availability_zone = data.aws_availability_zones.available.names[count.index]
  cidr_block        = cidrsubnet(var.cidr_block, 4, count.index)
  tags              = { Name = "${var.name}-private-${count.index}" }
}

resource "aws_route_table" "private" {
  vpc_id = aws_vpc.this.id
  tags   = { Name = "${var.name}-private" }
}

resource "aws_route_table_association" "private" {
  count = 3

  subnet_id      = aws_subnet.private[count.index].id
  route_table_id = aws_route_table.private.id
}

resource "aws_route" "nat" {
  count = var.nat ? 1 : 0

  route_table_id         = aws_route_table.private.id
  destination_cidr_block = "0.0.0.0/0"
  nat_gateway_id         = aws_nat_gateway.this[0].id
}

resource "aws_subnet" "public" {
  count = var.nat ? 1 : 0

  vpc_id            = aws_vpc.this.id
  availability_zone = data.aws_availability_zones.available.names[0]
  cidr_block        = cidrsubnet(var.cidr_block, 4, 15)
  tags              = { Name = "${var.name}-public" }
}

resource "aws_internet_gateway" "this" {
  count = var.nat ? 1 : 0

  vpc_id = aws_vpc.this.id
  tags   = { Name = var.name }
}

resource "aws_route_table" "public" {
  count = var.nat ? 1 : 0

  vpc_id = aws_vpc.this.id
  tags   = { Name = "${var.name}-public" }
}

resource "aws_route" "internet" {
  count = var.nat ? 1 : 0

  route_table_id         = aws_route_table.public[0].id
  destination_cidr_block = "0.0.0.0/0"
  gateway_id             = aws_internet_gateway.this[0].id
}

resource "aws_route_table_association" "public" {
  count = var.nat ? 1 : 0

  subnet_id      = aws_subnet.public[0].id
  route_table_id = aws_route_table.public[0].id
}

resource "aws_eip" "nat" {
  count = var.nat ? 1 : 0

  domain = "vpc"
  tags   = { Name = var.name }
}

resource "aws_nat_gateway" "this" {
  count = var.nat ? 1 : 0

  allocation_id = aws_eip.nat[0].id
  subnet_id     = aws_subnet.public[0].id
  tags          = { Name = var.name }

  depends_on = [aws_internet_gateway.this]
}

output "cidr_block" {
  description = "Range of the VPC."
  value       = aws_vpc.this.cidr_block
}

# The way out is there before anything is started in the subnets.
output "private_subnet_ids" {
  description = "One private subnet in each of three zones."
  value       = aws_subnet.private[*].id
  depends_on  = [aws_route.nat, aws_route_table_association.private]
}

output "route_table_ids" {
  description = "Route tables of the private subnets."
  value       = [aws_route_table.private.id]
}

output "vpc_id" {
  description = "The VPC."
  value       = aws_vpc.this.id
}
