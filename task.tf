resource "aws_cloudwatch_log_group" "tasks" {
  count = var.create && var.enable_cloudwatch_logs ? 1 : 0

  name              = local.task_logs
  kms_key_id        = var.cloudwatch_kms_key_id
  retention_in_days = var.cloudwatch_retention_days
  tags              = var.tags
}

locals {
  image = coalesce(var.redis_image, "public.ecr.aws/docker/library/redis:${var.redis_version}")

  log_configuration = {
    for stream in concat(["redis", "redis-exporter"], [for container in var.sidecar_containers : container.name]) :
    stream => !var.enable_cloudwatch_logs ? {} : {
      logConfiguration = {
        logDriver = "awslogs"
        options = {
          "awslogs-group"         = local.task_logs
          "awslogs-region"        = local.region
          "awslogs-stream-prefix" = stream
        }
      }
    }
  }

  # The entry point below takes the place of the image's, which would give up root. By number, since
  # the name is the image's own: stock Redis and Valkey images, Debian's and Alpine's, call it redis or
  # valkey, and all of them give it this number and /data.
  node_user = "999"

  node_environment = merge(var.environment, {
    REDIS_CONFIG          = join("\n", local.config_lines)
    REDIS_PORT            = tostring(local.port)
    REDIS_TASK_MEMORY_MIB = tostring(var.task_memory)
  })

  node_container = merge(
    {
      name       = local.container_name
      image      = local.image
      essential  = true
      user       = local.node_user
      entryPoint = ["/bin/sh", "-c"]
      # The scripts travel inside the task definition, so stock images will do.
      command = [file("${path.module}/node/entrypoint.sh")]
      portMappings = [
        for port in [local.port, local.bus_port] : { containerPort = port, protocol = "tcp" }
      ]
      environment = [for name, value in local.node_environment : { name = name, value = value }]
      secrets     = [for name, arn in local.node_secrets : { name = name, valueFrom = arn }]
      healthCheck = {
        command     = ["CMD-SHELL", file("${path.module}/node/healthcheck.sh")]
        interval    = 10
        timeout     = 5
        retries     = 3
        startPeriod = 10
      }
      stopTimeout = 120
    },
    # ECS Exec leaves processes behind; an init process reaps them.
    var.enable_execute_command ? { linuxParameters = { initProcessEnabled = true } } : {},
    local.log_configuration["redis"],
  )

  exporter_container = merge(
    {
      name         = "redis-exporter"
      image        = var.redis_exporter.image
      essential    = false
      portMappings = [{ containerPort = local.exporter_port, protocol = "tcp" }]
      environment = concat(
        [{ name = "REDIS_ADDR", value = "${local.tls ? "rediss" : "redis"}://localhost:${local.port}" }],
        # It asks its own task, over loopback, by a name that no certificate has.
        local.tls ? [{ name = "REDIS_EXPORTER_SKIP_TLS_VERIFICATION", value = "true" }] : [],
      )
      secrets = local.has_password ? [{ name = "REDIS_PASSWORD", valueFrom = local.password_arn }] : []
    },
    local.log_configuration["redis-exporter"],
  )

  containers = concat(
    [local.node_container],
    var.redis_exporter.enabled ? [local.exporter_container] : [],
    [for container in var.sidecar_containers : merge({ essential = false }, local.log_configuration[container.name], container)],
  )
}

resource "aws_ecs_task_definition" "this" {
  count = var.create ? 1 : 0

  family                   = var.cluster_name
  requires_compatibilities = ["FARGATE"]
  network_mode             = "awsvpc"
  cpu                      = var.task_cpu
  memory                   = var.task_memory
  execution_role_arn       = aws_iam_role.this["execution"].arn
  task_role_arn            = aws_iam_role.this["task"].arn
  container_definitions    = jsonencode(local.containers)
  tags                     = var.tags

  runtime_platform {
    cpu_architecture        = var.cpu_architecture
    operating_system_family = "LINUX"
  }

  # 20 GiB are what a task has anyway; Fargate does not take the number itself.
  dynamic "ephemeral_storage" {
    for_each = var.ephemeral_storage_gib > 20 ? [var.ephemeral_storage_gib] : []

    content {
      size_in_gib = ephemeral_storage.value
    }
  }
}
