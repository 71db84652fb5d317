resource "aws_ecs_cluster" "this" {
  count = var.create && var.existing_ecs_cluster == null ? 1 : 0

  name = var.cluster_name
  tags = var.tags

  dynamic "configuration" {
    for_each = var.kms_key_arn == null ? [] : [var.kms_key_arn]

    content {
      managed_storage_configuration {
        fargate_ephemeral_storage_kms_key_id = configuration.value
      }
    }
  }

  setting {
    name  = "containerInsights"
    value = var.container_insights
  }
}

resource "aws_ecs_cluster_capacity_providers" "this" {
  count = var.create && var.existing_ecs_cluster == null ? 1 : 0

  cluster_name       = aws_ecs_cluster.this[0].name
  capacity_providers = ["FARGATE", "FARGATE_SPOT"]
}

resource "aws_ecs_service" "this" {
  count = var.create ? 1 : 0

  name            = local.service_name
  cluster         = var.existing_ecs_cluster == null ? aws_ecs_cluster.this[0].id : var.existing_ecs_cluster.arn
  task_definition = aws_ecs_task_definition.this[0].arn
  desired_count   = local.task_count
  launch_type     = length(var.capacity_provider_strategy) == 0 ? "FARGATE" : null
  # It would stop tasks without asking where the masters are.
  availability_zone_rebalancing      = "DISABLED"
  deployment_maximum_percent         = 200
  deployment_minimum_healthy_percent = 100
  enable_ecs_managed_tags            = true
  enable_execute_command             = var.enable_execute_command
  # A destroy does not wait for the protection of the last tasks to run out.
  force_delete          = true
  propagate_tags        = "SERVICE"
  wait_for_steady_state = var.wait_for_healthy
  tags                  = var.tags

  dynamic "capacity_provider_strategy" {
    for_each = var.capacity_provider_strategy

    content {
      capacity_provider = capacity_provider_strategy.value.capacity_provider
      base              = capacity_provider_strategy.value.base
      weight            = capacity_provider_strategy.value.weight
    }
  }

  deployment_circuit_breaker {
    enable   = true
    rollback = true
  }

  network_configuration {
    assign_public_ip = false
    security_groups  = [aws_security_group.nodes[0].id]
    subnets          = data.aws_subnet.private[*].id
  }

  service_registries {
    registry_arn = aws_service_discovery_service.this[0].arn
  }

  timeouts {
    create = "30m"
    # A deployment goes through the cluster shard by shard.
    update = "120m"
    delete = "30m"
  }

  # The first event of the first task finds a controller that may act. And the controller outlives the
  # service: it is asked for nothing any more when its permissions go.
  depends_on = [
    aws_cloudwatch_event_target.controller,
    aws_cloudwatch_log_group.tasks,
    aws_dynamodb_table.state,
    aws_ecs_cluster_capacity_providers.this,
    aws_iam_role_policy.this,
    aws_lambda_permission.events,
    aws_secretsmanager_secret_version.password,
    aws_vpc_security_group_egress_rule.controller_to_aws,
    aws_vpc_security_group_egress_rule.controller_to_nodes,
    aws_vpc_security_group_egress_rule.nodes_to_aws,
    aws_vpc_security_group_egress_rule.nodes_to_nodes,
    aws_vpc_security_group_ingress_rule.nodes_from_controller,
    aws_vpc_security_group_ingress_rule.nodes_from_nodes,
  ]
}
