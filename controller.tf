locals {
  package = "${path.module}/dist/controller.zip"

  controller_environment = merge(
    {
      CLUSTER_NAME       = var.cluster_name
      ECS_CLUSTER        = local.ecs_cluster_name
      ECS_SERVICE        = local.service_name
      CLOUDMAP_NAMESPACE = local.namespace_name
      CLOUDMAP_SERVICE   = local.discovery_service
      MASTER_COUNT       = tostring(var.master_count)
      REPLICA_COUNT      = tostring(var.replica_count)
      ON_DATA_LOSS       = local.on_data_loss
      STATE_TABLE        = local.table_name
      REDIS_PORT         = tostring(local.port)
      TLS                = tostring(local.tls)
    },
    { for name, value in local.slot_migration : name => tostring(value) if value != null },
    local.has_password ? { PASSWORD_SECRET_ARN = local.password_arn } : {},
    [for arn in local.ca_arns : { TLS_CA_SECRET_ARN = arn }]...
  )
}

resource "aws_cloudwatch_log_group" "controller" {
  count = var.create && var.enable_cloudwatch_logs ? 1 : 0

  name              = local.controller_logs
  kms_key_id        = var.cloudwatch_kms_key_id
  retention_in_days = var.cloudwatch_retention_days
  tags              = var.tags
}

# The lease that runs take turns by, the formed-marker, and the history of runs.
resource "aws_dynamodb_table" "state" {
  count = var.create ? 1 : 0

  name         = local.table_name
  billing_mode = "PAY_PER_REQUEST"
  hash_key     = "kind"
  range_key    = "id"
  tags         = var.tags

  attribute {
    name = "kind"
    type = "S"
  }

  attribute {
    name = "id"
    type = "S"
  }

  point_in_time_recovery {
    enabled = true
  }

  server_side_encryption {
    enabled     = true
    kms_key_arn = var.kms_key_arn
  }

  ttl {
    attribute_name = "ttl"
    enabled        = true
  }
}

# Events that the controller failed on three times. The next tick looks at everything anyway: this is
# for a person who wants to know why.
resource "aws_sqs_queue" "dead_letters" {
  count = var.create ? 1 : 0

  name                      = "${local.function_name}-dead-letters"
  kms_master_key_id         = var.kms_key_arn
  message_retention_seconds = 14 * 24 * 3600
  sqs_managed_sse_enabled   = var.kms_key_arn == null ? true : null
  tags                      = var.tags
}

resource "aws_lambda_function" "controller" {
  # checkov:skip=CKV_AWS_50: A run logs how long each phase took; tracing would ask for one endpoint more in a VPC without NAT.
  # checkov:skip=CKV_AWS_115: Reserving fails on new accounts and takes from everybody else; a lease in DynamoDB serialises the runs.
  # checkov:skip=CKV_AWS_272: The package is built from this very checkout, and its hash is part of the plan.
  count = var.create ? 1 : 0

  function_name    = local.function_name
  description      = "Controller of the Redis Cluster ${var.cluster_name}"
  role             = aws_iam_role.this["initializer"].arn
  filename         = local.package
  source_code_hash = fileexists(local.package) ? filebase64sha256(local.package) : null
  handler          = "redis_fargate.controller.handler.handler"
  runtime          = "python3.13"
  architectures    = ["arm64"]
  memory_size      = 512
  timeout          = var.controller_timeout
  kms_key_arn      = var.kms_key_arn
  tags             = var.tags

  dead_letter_config {
    target_arn = aws_sqs_queue.dead_letters[0].arn
  }

  environment {
    variables = local.controller_environment
  }

  vpc_config {
    security_group_ids = [aws_security_group.controller[0].id]
    subnet_ids         = data.aws_subnet.private[*].id
  }

  lifecycle {
    precondition {
      condition     = fileexists(local.package)
      error_message = "The controller's package ${local.package} is missing: run `make package` in the module's directory (${path.module}), then plan again."
    }
  }

  # The log group comes first, else Lambda makes one that keeps its logs for ever.
  depends_on = [aws_cloudwatch_log_group.controller, aws_iam_role_policy.this]
}

locals {
  of_service = { source = ["aws.ecs"], resources = [local.service_arn] }

  rules = {
    task = {
      description = "A task of ${var.cluster_name} runs or has stopped"
      schedule    = null
      pattern = jsonencode({
        source      = ["aws.ecs"]
        detail-type = ["ECS Task State Change"]
        detail = {
          clusterArn = [local.ecs_cluster_arn]
          group      = ["service:${local.service_name}"]
          # The container of a task that is DEPROVISIONING has ended: half a minute sooner.
          lastStatus = ["RUNNING", "DEPROVISIONING", "STOPPED"]
        }
      })
    }
    service = {
      description = "The service of ${var.cluster_name} says something"
      schedule    = null
      pattern     = jsonencode(merge(local.of_service, { detail-type = ["ECS Service Action"] }))
    }
    deployment = {
      description = "A deployment of ${var.cluster_name} begins or ends"
      schedule    = null
      pattern     = jsonencode(merge(local.of_service, { detail-type = ["ECS Deployment State Change"] }))
    }
    # Events come at least once, but not for everything that can happen to a node.
    schedule = {
      description = "Look at ${var.cluster_name} whatever happens"
      schedule    = var.reconcile_schedule
      pattern     = null
    }
  }
}

resource "aws_cloudwatch_event_rule" "controller" {
  for_each = var.create ? local.rules : {}

  name                = "${var.cluster_name}-${each.key}"
  description         = each.value.description
  event_pattern       = each.value.pattern
  schedule_expression = each.value.schedule
  tags                = var.tags
}

resource "aws_cloudwatch_event_target" "controller" {
  for_each = aws_cloudwatch_event_rule.controller

  rule      = each.value.name
  target_id = "controller"
  arn       = aws_lambda_function.controller[0].arn
}

resource "aws_lambda_permission" "events" {
  for_each = aws_cloudwatch_event_rule.controller

  statement_id  = each.value.name
  action        = "lambda:InvokeFunction"
  function_name = aws_lambda_function.controller[0].function_name
  principal     = "events.amazonaws.com"
  source_arn    = each.value.arn
}

# Ends an apply only when the cluster is healthy: once all tasks run, the controller is asked to bring
# the cluster up and to answer when it is. If it is not in time (controller_timeout), the controller
# raises, and the apply fails with its sentence.
resource "aws_lambda_invocation" "healthy" {
  count = var.create && var.wait_for_healthy ? 1 : 0

  function_name = aws_lambda_function.controller[0].function_name
  input         = jsonencode({ action = "reconcile", until = "healthy" })

  triggers = {
    master_count    = var.master_count
    replica_count   = var.replica_count
    on_data_loss    = local.on_data_loss
    task_definition = aws_ecs_task_definition.this[0].arn
    package         = aws_lambda_function.controller[0].source_code_hash
  }

  depends_on = [aws_ecs_service.this]
}
