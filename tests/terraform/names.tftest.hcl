# What the quickstart's settings make: the names and documents that the controller, the local cloud and
# the users of the module rely on.

provider "aws" {
  region = "us-east-1"
}

variables {
  cluster_name       = "my-redis-cluster"
  vpc_id             = "vpc-0123456789abcdef0"
  private_subnet_ids = ["subnet-a", "subnet-b", "subnet-c"]
  cloudmap_namespace = "redis-cluster.local"
  redis_config = {
    maxmemory_policy = "allkeys-lru"
    timeout          = 300
  }
}

run "names" {
  command = plan

  assert {
    condition = [
      aws_ecs_cluster.this[0].name,
      aws_ecs_service.this[0].name,
      aws_ecs_task_definition.this[0].family,
      aws_lambda_function.controller[0].function_name,
      aws_dynamodb_table.state[0].name,
      aws_cloudwatch_log_group.tasks[0].name,
      aws_cloudwatch_log_group.controller[0].name,
      aws_service_discovery_private_dns_namespace.this[0].name,
      aws_service_discovery_service.this[0].name,
      ] == [
      "my-redis-cluster",
      "redis-cluster-service",
      "my-redis-cluster",
      "my-redis-cluster-initializer",
      "my-redis-cluster-state",
      "/aws/ecs/my-redis-cluster",
      "/aws/lambda/my-redis-cluster-initializer",
      "local",
      "redis-cluster",
    ]
    error_message = "A name differs from the contract."
  }

  assert {
    condition     = toset([for rule in aws_cloudwatch_event_rule.controller : rule.name]) == toset([for event in ["task", "service", "deployment", "schedule"] : "my-redis-cluster-${event}"])
    error_message = "The event rules' names differ from the contract."
  }

  assert {
    condition = jsondecode(aws_cloudwatch_event_rule.controller["task"].event_pattern) == {
      source      = ["aws.ecs"]
      detail-type = ["ECS Task State Change"]
      detail = {
        clusterArn = ["arn:aws:ecs:us-east-1:123456789012:cluster/my-redis-cluster"]
        group      = ["service:redis-cluster-service"]
        lastStatus = ["RUNNING", "DEPROVISIONING", "STOPPED"]
      }
    }
    error_message = "The task rule matches something else: ${aws_cloudwatch_event_rule.controller["task"].event_pattern}"
  }

  assert {
    condition = alltrue([
      for rule, type in { service = "ECS Service Action", deployment = "ECS Deployment State Change" } :
      jsondecode(aws_cloudwatch_event_rule.controller[rule].event_pattern) == {
        source      = ["aws.ecs"]
        detail-type = [type]
        resources   = ["arn:aws:ecs:us-east-1:123456789012:service/my-redis-cluster/redis-cluster-service"]
      }
    ])
    error_message = "The service or deployment rule matches something else."
  }

  assert {
    condition     = aws_cloudwatch_event_rule.controller["schedule"].schedule_expression == "rate(1 minute)" && aws_cloudwatch_event_rule.controller["schedule"].event_pattern == null
    error_message = "The controller is not called each minute."
  }

  assert {
    condition = aws_lambda_function.controller[0].environment[0].variables == tomap({
      CLUSTER_NAME       = "my-redis-cluster"
      ECS_CLUSTER        = "my-redis-cluster"
      ECS_SERVICE        = "redis-cluster-service"
      CLOUDMAP_NAMESPACE = "local"
      CLOUDMAP_SERVICE   = "redis-cluster"
      MASTER_COUNT       = "3"
      ON_DATA_LOSS       = "rebuild_empty"
      REPLICA_COUNT      = "3"
      STATE_TABLE        = "my-redis-cluster-state"
      REDIS_PORT         = "6379"
      TLS                = "false"
    })
    error_message = "The controller's environment differs from its contract."
  }

  assert {
    condition     = aws_lambda_function.controller[0].handler == "redis_fargate.controller.handler.handler" && aws_lambda_function.controller[0].timeout == 300 && aws_lambda_function.controller[0].reserved_concurrent_executions == null
    error_message = "The function is set up otherwise."
  }

  assert {
    condition = jsondecode(aws_ecs_task_definition.this[0].container_definitions) == [{
      name       = "redis"
      image      = "public.ecr.aws/docker/library/redis:7.2"
      essential  = true
      user       = "999"
      entryPoint = ["/bin/sh", "-c"]
      command    = [file("node/entrypoint.sh")]
      portMappings = [
        { containerPort = 6379, protocol = "tcp" },
        { containerPort = 16379, protocol = "tcp" },
      ]
      environment = [
        { name = "REDIS_CONFIG", value = "maxmemory-policy allkeys-lru\ntimeout 300" },
        { name = "REDIS_PORT", value = "6379" },
        { name = "REDIS_TASK_MEMORY_MIB", value = "2048" },
      ]
      secrets = []
      healthCheck = {
        command     = ["CMD-SHELL", file("node/healthcheck.sh")]
        interval    = 10
        timeout     = 5
        retries     = 3
        startPeriod = 10
      }
      stopTimeout = 120
      logConfiguration = {
        logDriver = "awslogs"
        options = {
          awslogs-group         = "/aws/ecs/my-redis-cluster"
          awslogs-region        = "us-east-1"
          awslogs-stream-prefix = "redis"
        }
      }
    }]
    error_message = "The redis container differs from its contract: ${aws_ecs_task_definition.this[0].container_definitions}"
  }

  assert {
    condition     = length(aws_ecs_task_definition.this[0].container_definitions) < 60000
    error_message = "The task definition comes near the 64 KiB that ECS takes."
  }

  assert {
    condition = [
      aws_ecs_service.this[0].desired_count,
      aws_ecs_service.this[0].launch_type,
      aws_ecs_service.this[0].deployment_maximum_percent,
      aws_ecs_service.this[0].deployment_minimum_healthy_percent,
      aws_ecs_service.this[0].availability_zone_rebalancing,
      aws_ecs_service.this[0].propagate_tags,
      aws_ecs_service.this[0].enable_ecs_managed_tags,
      aws_ecs_service.this[0].network_configuration[0].assign_public_ip,
      aws_ecs_service.this[0].deployment_circuit_breaker[0],
    ] == [6, "FARGATE", 200, 100, "DISABLED", "SERVICE", true, false, { enable = true, rollback = true }]
    error_message = "The service is set up otherwise."
  }

  assert {
    condition = {
      for attribute in aws_dynamodb_table.state[0].attribute : attribute.name => attribute.type
    } == { kind = "S", id = "S" } && aws_dynamodb_table.state[0].hash_key == "kind" && aws_dynamodb_table.state[0].range_key == "id" && aws_dynamodb_table.state[0].ttl[0].attribute_name == "ttl"
    error_message = "The table's keys differ from the contract."
  }

  assert {
    condition     = aws_service_discovery_service.this[0].force_destroy && one(aws_service_discovery_service.this[0].health_check_custom_config[*].failure_threshold) == 1 && aws_service_discovery_service.this[0].dns_config[0].dns_records[0].ttl == 10
    error_message = "Cloud Map is set up otherwise."
  }

  assert {
    condition     = output.cloudmap_service_name == "redis-cluster.local" && output.redis_connection_string == "redis://redis-cluster.local:6379"
    error_message = "Clients are told another address."
  }

  assert {
    condition     = length(aws_secretsmanager_secret.password) == 0
    error_message = "A password was made that nobody asked for."
  }
}
