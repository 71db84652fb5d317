data "aws_vpc" "this" {
  count = var.create && var.allowed_cidr_blocks == null ? 1 : 0

  id = var.vpc_id
}

data "aws_subnet" "private" {
  count = var.create ? length(var.private_subnet_ids) : 0

  id = var.private_subnet_ids[count.index]

  lifecycle {
    postcondition {
      condition     = self.vpc_id == var.vpc_id
      error_message = "Subnet ${self.id} of private_subnet_ids is in ${self.vpc_id}, not in vpc_id ${var.vpc_id}."
    }

    postcondition {
      condition     = !self.map_public_ip_on_launch
      error_message = "Subnet ${self.id} of private_subnet_ids is a public one (it assigns public addresses): give private subnets. Nodes get no public address, so in a public subnet they would reach neither their image nor their secrets."
    }
  }
}

check "zones" {
  assert {
    condition     = !var.create || var.replica_count == 0 || length(distinct(data.aws_subnet.private[*].availability_zone)) > 1
    error_message = "All of private_subnet_ids are in one zone, and would be lost together, masters and replicas alike: give subnets of three zones."
  }
}

check "replicas" {
  assert {
    condition     = var.replica_count == 0 || var.replica_count >= var.master_count
    error_message = "replica_count ${var.replica_count} is the number of all replicas, fewer than the ${var.master_count} masters: some masters have none, and their data is lost with their task."
  }
}

locals {
  allowed_cidr_blocks = var.allowed_cidr_blocks == null ? data.aws_vpc.this[*].cidr_block : var.allowed_cidr_blocks

  # Whoever may connect to the nodes may also ask the exporters.
  client_ports = concat([local.port], var.redis_exporter.enabled ? [local.exporter_port] : [])
  cidr_rules   = var.create ? setproduct(local.allowed_cidr_blocks, local.client_ports) : []
  group_rules  = var.create ? setproduct(var.allowed_security_group_ids, local.client_ports) : []
}

resource "aws_security_group" "nodes" {
  count = var.create ? 1 : 0

  name        = var.use_name_prefix ? null : "${var.cluster_name}-nodes"
  name_prefix = var.use_name_prefix ? "${var.cluster_name}-nodes-" : null
  description = "Nodes of the Redis Cluster ${var.cluster_name}"
  vpc_id      = var.vpc_id
  tags        = merge(var.tags, { Name = "${var.cluster_name}-nodes" })

  lifecycle {
    create_before_destroy = true
  }
}

resource "aws_vpc_security_group_ingress_rule" "nodes_from_cidr" {
  count = length(local.cidr_rules)

  security_group_id = aws_security_group.nodes[0].id
  description       = "Clients"
  cidr_ipv4         = local.cidr_rules[count.index][0]
  ip_protocol       = "tcp"
  from_port         = local.cidr_rules[count.index][1]
  to_port           = local.cidr_rules[count.index][1]
  tags              = var.tags
}

resource "aws_vpc_security_group_ingress_rule" "nodes_from_group" {
  count = length(local.group_rules)

  security_group_id            = aws_security_group.nodes[0].id
  description                  = "Clients"
  referenced_security_group_id = local.group_rules[count.index][0]
  ip_protocol                  = "tcp"
  from_port                    = local.group_rules[count.index][1]
  to_port                      = local.group_rules[count.index][1]
  tags                         = var.tags
}

resource "aws_vpc_security_group_ingress_rule" "nodes_from_controller" {
  count = var.create ? 1 : 0

  security_group_id            = aws_security_group.nodes[0].id
  description                  = "The controller"
  referenced_security_group_id = aws_security_group.controller[0].id
  ip_protocol                  = "tcp"
  from_port                    = local.port
  to_port                      = local.port
  tags                         = var.tags
}

resource "aws_vpc_security_group_ingress_rule" "nodes_from_nodes" {
  for_each = var.create ? { replication = local.port, bus = local.bus_port } : {}

  security_group_id            = aws_security_group.nodes[0].id
  description                  = "Other nodes: ${each.key}"
  referenced_security_group_id = aws_security_group.nodes[0].id
  ip_protocol                  = "tcp"
  from_port                    = each.value
  to_port                      = each.value
  tags                         = var.tags
}

resource "aws_vpc_security_group_egress_rule" "nodes_to_nodes" {
  for_each = var.create ? { replication = local.port, bus = local.bus_port } : {}

  security_group_id            = aws_security_group.nodes[0].id
  description                  = "Other nodes: ${each.key}"
  referenced_security_group_id = aws_security_group.nodes[0].id
  ip_protocol                  = "tcp"
  from_port                    = each.value
  to_port                      = each.value
  tags                         = var.tags
}

resource "aws_vpc_security_group_egress_rule" "nodes_to_aws" {
  count = var.create ? 1 : 0

  security_group_id = aws_security_group.nodes[0].id
  description       = "Image, logs and secrets, by NAT or VPC endpoints"
  cidr_ipv4         = "0.0.0.0/0"
  ip_protocol       = "tcp"
  from_port         = 443
  to_port           = 443
  tags              = var.tags
}

resource "aws_security_group" "controller" {
  count = var.create ? 1 : 0

  name        = var.use_name_prefix ? null : local.function_name
  name_prefix = var.use_name_prefix ? "${local.function_name}-" : null
  description = "Controller of the Redis Cluster ${var.cluster_name}"
  vpc_id      = var.vpc_id
  tags        = merge(var.tags, { Name = local.function_name })

  lifecycle {
    create_before_destroy = true
  }
}

resource "aws_vpc_security_group_egress_rule" "controller_to_nodes" {
  count = var.create ? 1 : 0

  security_group_id            = aws_security_group.controller[0].id
  description                  = "The nodes"
  referenced_security_group_id = aws_security_group.nodes[0].id
  ip_protocol                  = "tcp"
  from_port                    = local.port
  to_port                      = local.port
  tags                         = var.tags
}

resource "aws_vpc_security_group_egress_rule" "controller_to_aws" {
  count = var.create ? 1 : 0

  security_group_id = aws_security_group.controller[0].id
  description       = "ECS, Cloud Map, DynamoDB and secrets, by NAT or VPC endpoints"
  cidr_ipv4         = "0.0.0.0/0"
  ip_protocol       = "tcp"
  from_port         = 443
  to_port           = 443
  tags              = var.tags
}
