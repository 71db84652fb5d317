# Every variable's effect, other than what names, apply, auth and sizes show.

provider "aws" {
  region = "us-east-1"
}

variables {
  cluster_name       = "redis"
  vpc_id             = "vpc-0123456789abcdef0"
  private_subnet_ids = ["subnet-a", "subnet-b", "subnet-c"]
}

run "clients_of_the_vpc" {
  command = plan

  assert {
    condition     = [for rule in aws_vpc_security_group_ingress_rule.nodes_from_cidr : [rule.cidr_ipv4, rule.from_port, rule.to_port]] == [["10.0.0.0/16", 6379, 6379]]
    error_message = "By default the VPC's clients may connect, and nobody else."
  }

  assert {
    condition     = { for name, rule in aws_vpc_security_group_ingress_rule.nodes_from_nodes : name => rule.from_port } == { bus = 16379, replication = 6379 }
    error_message = "The nodes do not reach each other."
  }
}

run "clients_named" {
  command = plan

  variables {
    allowed_cidr_blocks        = ["10.1.0.0/16", "10.2.0.0/16"]
    allowed_security_group_ids = ["sg-1"]
    redis_exporter             = { enabled = true }
  }

  assert {
    condition     = [for rule in aws_vpc_security_group_ingress_rule.nodes_from_cidr : "${rule.cidr_ipv4} ${rule.from_port}"] == ["10.1.0.0/16 6379", "10.1.0.0/16 9121", "10.2.0.0/16 6379", "10.2.0.0/16 9121"]
    error_message = "Other ranges may connect."
  }

  assert {
    condition     = [for rule in aws_vpc_security_group_ingress_rule.nodes_from_group : "${rule.referenced_security_group_id} ${rule.from_port}"] == ["sg-1 6379", "sg-1 9121"] && length(data.aws_vpc.this) == 0
    error_message = "Other groups may connect."
  }

  assert {
    condition     = jsondecode(aws_ecs_task_definition.this[0].container_definitions)[1].name == "redis-exporter" && jsondecode(aws_ecs_task_definition.this[0].container_definitions)[1].essential == false && jsondecode(aws_ecs_task_definition.this[0].container_definitions)[1].environment == [{ name = "REDIS_ADDR", value = "redis://localhost:6379" }]
    error_message = "There is no exporter beside the node."
  }
}

run "spot" {
  command = plan

  variables {
    capacity_provider_strategy = [
      { capacity_provider = "FARGATE", base = 3, weight = 1 },
      { capacity_provider = "FARGATE_SPOT", weight = 4 },
    ]
  }

  assert {
    condition     = length(aws_ecs_service.this[0].capacity_provider_strategy) == 2 && contains([for item in aws_ecs_service.this[0].capacity_provider_strategy : "${item.capacity_provider} ${item.weight}"], "FARGATE_SPOT 4")
    error_message = "The tasks do not run on Spot."
  }

  assert {
    condition     = aws_ecs_cluster_capacity_providers.this[0].capacity_providers == toset(["FARGATE", "FARGATE_SPOT"])
    error_message = "The ECS cluster has no Spot."
  }
}

run "encrypted" {
  command = plan

  variables {
    cloudwatch_kms_key_id     = "arn:aws:kms:us-east-1:123456789012:key/logs"
    cloudwatch_retention_days = 30
    kms_key_arn               = "arn:aws:kms:us-east-1:123456789012:key/data"
    auth                      = { generate_password = true }
  }

  assert {
    condition     = aws_cloudwatch_log_group.tasks[0].kms_key_id == var.cloudwatch_kms_key_id && aws_cloudwatch_log_group.controller[0].kms_key_id == var.cloudwatch_kms_key_id && aws_cloudwatch_log_group.tasks[0].retention_in_days == 30 && aws_cloudwatch_log_group.controller[0].retention_in_days == 30
    error_message = "The log groups are set up otherwise."
  }

  assert {
    condition = alltrue([for key in [
      aws_secretsmanager_secret.password[0].kms_key_id,
      aws_dynamodb_table.state[0].server_side_encryption[0].kms_key_arn,
      aws_sqs_queue.dead_letters[0].kms_master_key_id,
      aws_lambda_function.controller[0].kms_key_arn,
      aws_ecs_cluster.this[0].configuration[0].managed_storage_configuration[0].fargate_ephemeral_storage_kms_key_id,
    ] : key == "arn:aws:kms:us-east-1:123456789012:key/data"])
    error_message = "Something is stored without the key."
  }
}

run "other_ways" {
  command = plan

  variables {
    cloudmap_namespace     = "cache.prod.example.internal"
    container_insights     = "enhanced"
    controller_timeout     = 600
    cpu_architecture       = "ARM64"
    enable_execute_command = true
    environment            = { TZ = "UTC" }
    ephemeral_storage_gib  = 100
    permissions_boundary   = "arn:aws:iam::123456789012:policy/boundary"
    reconcile_schedule     = "rate(5 minutes)"
    redis_image            = "123456789012.dkr.ecr.us-east-1.amazonaws.com/valkey:9.1"
    secrets                = { TOKEN = "arn:aws:ssm:us-east-1:123456789012:parameter/token", KEY = "arn:aws:secretsmanager:us-east-1:123456789012:secret:key-abcdef:json::" }
    sidecar_containers     = [{ name = "agent", image = "agent:1", environment = [{ name = "A", value = "B" }] }]
    tags                   = { Environment = "test" }
    task_cpu               = 4096
    task_memory            = 30720
    use_name_prefix        = false
  }

  assert {
    condition     = aws_service_discovery_private_dns_namespace.this[0].name == "prod.example.internal" && aws_service_discovery_service.this[0].name == "cache" && output.redis_connection_string == "redis://cache.prod.example.internal:6379"
    error_message = "The cluster is found under another name."
  }

  assert {
    condition     = one(aws_ecs_cluster.this[0].setting).value == "enhanced" && aws_lambda_function.controller[0].timeout == 600 && aws_cloudwatch_event_rule.controller["schedule"].schedule_expression == "rate(5 minutes)"
    error_message = "Insights, timeout or schedule differ."
  }

  assert {
    condition     = aws_ecs_task_definition.this[0].runtime_platform[0].cpu_architecture == "ARM64" && aws_ecs_task_definition.this[0].ephemeral_storage[0].size_in_gib == 100 && aws_ecs_task_definition.this[0].cpu == "4096" && aws_ecs_task_definition.this[0].memory == "30720"
    error_message = "The tasks have another size or architecture."
  }

  assert {
    condition     = aws_ecs_service.this[0].enable_execute_command && jsondecode(aws_ecs_task_definition.this[0].container_definitions)[0].linuxParameters.initProcessEnabled && strcontains(aws_iam_role_policy.this["task"].policy, "ssmmessages:OpenDataChannel")
    error_message = "ECS Exec would not work."
  }

  assert {
    condition     = jsondecode(aws_ecs_task_definition.this[0].container_definitions)[0].image == var.redis_image && jsondecode(aws_ecs_task_definition.this[0].container_definitions)[0].environment[3] == { name = "TZ", value = "UTC" }
    error_message = "The node has another image or environment."
  }

  assert {
    condition = {
      for statement in jsondecode(aws_iam_role_policy.this["execution"].policy).Statement : statement.Action[0] => statement.Resource
      } == {
      "logs:CreateLogStream"            = ["arn:aws:logs:us-east-1:123456789012:log-group:/aws/ecs/redis:*"]
      "secretsmanager:GetSecretValue"   = ["arn:aws:secretsmanager:us-east-1:123456789012:secret:key-abcdef"]
      "ssm:GetParameters"               = ["arn:aws:ssm:us-east-1:123456789012:parameter/token"]
      "ecr:GetAuthorizationToken"       = ["*"]
      "ecr:BatchCheckLayerAvailability" = ["arn:aws:ecr:us-east-1:123456789012:repository/valkey"]
    }
    error_message = "ECS may do other things to start tasks: ${aws_iam_role_policy.this["execution"].policy}"
  }

  assert {
    condition     = jsondecode(aws_ecs_task_definition.this[0].container_definitions)[1] == { name = "agent", image = "agent:1", essential = false, environment = [{ name = "A", value = "B" }], logConfiguration = { logDriver = "awslogs", options = { awslogs-group = "/aws/ecs/redis", awslogs-region = "us-east-1", awslogs-stream-prefix = "agent" } } }
    error_message = "The sidecar is another."
  }

  assert {
    condition     = aws_iam_role.this["initializer"].name == "redis-initializer" && aws_security_group.nodes[0].name == "redis-nodes" && alltrue([for role in aws_iam_role.this : role.permissions_boundary == "arn:aws:iam::123456789012:policy/boundary"])
    error_message = "Names or the roles' boundary differ."
  }

  assert {
    condition = alltrue([for tags in concat(
      [for role in aws_iam_role.this : role.tags],
      [for rule in aws_cloudwatch_event_rule.controller : rule.tags],
      [
        aws_ecs_cluster.this[0].tags,
        aws_ecs_service.this[0].tags,
        aws_ecs_task_definition.this[0].tags,
        aws_lambda_function.controller[0].tags,
        aws_dynamodb_table.state[0].tags,
        aws_sqs_queue.dead_letters[0].tags,
        aws_cloudwatch_log_group.tasks[0].tags,
        aws_cloudwatch_log_group.controller[0].tags,
        aws_security_group.nodes[0].tags,
        aws_security_group.controller[0].tags,
        aws_service_discovery_private_dns_namespace.this[0].tags,
        aws_service_discovery_service.this[0].tags,
        aws_vpc_security_group_ingress_rule.nodes_from_controller[0].tags,
      ],
    ) : tags["Environment"] == "test"])
    error_message = "Something is not tagged."
  }
}

run "valkey_version_and_port" {
  command = plan

  variables {
    redis_version = "8.2-alpine"
    redis_config  = { port = 7000, bind = "0.0.0.0", cluster_enabled = true, protected_mode = "no", save = "", maxmemory = "1gb" }
  }

  assert {
    condition     = jsondecode(aws_ecs_task_definition.this[0].container_definitions)[0].image == "public.ecr.aws/docker/library/redis:8.2-alpine"
    error_message = "The image is not that of the version."
  }

  assert {
    condition     = jsondecode(aws_ecs_task_definition.this[0].container_definitions)[0].environment[0].value == "maxmemory 1gb\nsave \"\"" && jsondecode(aws_ecs_task_definition.this[0].container_definitions)[0].environment[1].value == "7000"
    error_message = "redis.conf gets other lines: ${jsondecode(aws_ecs_task_definition.this[0].container_definitions)[0].environment[0].value}"
  }

  assert {
    condition     = jsondecode(aws_ecs_task_definition.this[0].container_definitions)[0].portMappings[1].containerPort == 17000 && aws_vpc_security_group_ingress_rule.nodes_from_nodes["bus"].from_port == 17000 && aws_lambda_function.controller[0].environment[0].variables.REDIS_PORT == "7000"
    error_message = "Something looks for the nodes at another port."
  }
}

run "options_of_all_kinds" {
  command = plan

  variables {
    redis_config = {
      maxmemory_policy           = "volatile-ttl"
      lazyfree_lazy_eviction     = true
      save                       = "900 1 300 10"
      appendonly                 = false
      timeout                    = 300
      tcp_keepalive              = 60
      maxclients                 = 20000
      cluster_node_timeout       = 5000
      slowlog_log_slower_than    = 10000
      slowlog_max_len            = 256
      repl_backlog_size          = "64mb"
      min_replicas_to_write      = 1
      client_output_buffer_limit = "replica 512mb 128mb 60"
      cluster_config_file        = "nodes.conf"
      protected_mode             = false
    }
  }

  assert {
    condition = jsondecode(aws_ecs_task_definition.this[0].container_definitions)[0].environment[0].value == join("\n", [
      "appendonly no",
      "client-output-buffer-limit replica 512mb 128mb 60",
      "cluster-node-timeout 5000",
      "lazyfree-lazy-eviction yes",
      "maxclients 20000",
      "maxmemory-policy volatile-ttl",
      "min-replicas-to-write 1",
      "repl-backlog-size 64mb",
      "save 900 1 300 10",
      "slowlog-log-slower-than 10000",
      "slowlog-max-len 256",
      "tcp-keepalive 60",
      "timeout 300",
    ])
    error_message = "redis.conf gets other lines: ${jsondecode(aws_ecs_task_definition.this[0].container_definitions)[0].environment[0].value}"
  }
}

run "without_logs" {
  command = plan

  variables {
    enable_cloudwatch_logs = false
  }

  assert {
    condition     = length(aws_cloudwatch_log_group.tasks) + length(aws_cloudwatch_log_group.controller) == 0 && !can(jsondecode(aws_ecs_task_definition.this[0].container_definitions)[0].logConfiguration)
    error_message = "Something logs all the same."
  }

  assert {
    condition     = !strcontains(aws_iam_role_policy.this["initializer"].policy, "logs:")
    error_message = "Somebody may log all the same."
  }
}

run "in_what_there_is" {
  command = plan

  variables {
    existing_ecs_cluster = { arn = "arn:aws:ecs:us-east-1:123456789012:cluster/main" }
    existing_namespace   = { id = "ns-0123456789abcdef" }
  }

  assert {
    condition     = length(aws_ecs_cluster.this) + length(aws_ecs_cluster_capacity_providers.this) + length(aws_service_discovery_private_dns_namespace.this) == 0
    error_message = "A second cluster or namespace is created."
  }

  assert {
    condition     = aws_ecs_service.this[0].cluster == "arn:aws:ecs:us-east-1:123456789012:cluster/main" && aws_service_discovery_service.this[0].dns_config[0].namespace_id == "ns-0123456789abcdef" && aws_lambda_function.controller[0].environment[0].variables.ECS_CLUSTER == "main"
    error_message = "The service is elsewhere."
  }

  assert {
    condition     = jsondecode(aws_cloudwatch_event_rule.controller["deployment"].event_pattern).resources == ["arn:aws:ecs:us-east-1:123456789012:service/main/redis-cluster-service"]
    error_message = "The rules listen to another service."
  }
}

run "tls" {
  command = plan

  variables {
    auth           = { password_secret_arn = "arn:aws:secretsmanager:us-east-1:123456789012:secret:app-abcdef:redis::" }
    redis_config   = { tls_port = 6379, port = 0, tls_auth_clients = "no", tls_replication = "yes", tls_cluster = "yes" }
    redis_exporter = { enabled = true }
    tls            = { secret_arn = "arn:aws:secretsmanager:us-east-1:123456789012:secret:tls-abcdef" }
  }

  assert {
    condition = {
      for secret in jsondecode(aws_ecs_task_definition.this[0].container_definitions)[0].secrets : secret.name => secret.valueFrom
      } == {
      REDIS_PASSWORD = "arn:aws:secretsmanager:us-east-1:123456789012:secret:app-abcdef:redis::"
      REDIS_TLS_CA   = "arn:aws:secretsmanager:us-east-1:123456789012:secret:tls-abcdef:ca::"
      REDIS_TLS_CERT = "arn:aws:secretsmanager:us-east-1:123456789012:secret:tls-abcdef:cert::"
      REDIS_TLS_KEY  = "arn:aws:secretsmanager:us-east-1:123456789012:secret:tls-abcdef:key::"
    }
    error_message = "The nodes get other secrets."
  }

  assert {
    condition     = jsondecode(aws_ecs_task_definition.this[0].container_definitions)[0].environment[0].value == "tls-auth-clients no"
    error_message = "redis.conf gets other lines."
  }

  assert {
    condition = {
      for name in ["TLS", "TLS_CA_SECRET_ARN", "PASSWORD_SECRET_ARN", "REDIS_PORT"] : name => aws_lambda_function.controller[0].environment[0].variables[name]
      } == {
      TLS                 = "true"
      TLS_CA_SECRET_ARN   = "arn:aws:secretsmanager:us-east-1:123456789012:secret:tls-abcdef:ca::"
      PASSWORD_SECRET_ARN = "arn:aws:secretsmanager:us-east-1:123456789012:secret:app-abcdef:redis::"
      REDIS_PORT          = "6379"
    }
    error_message = "The controller does not speak TLS."
  }

  assert {
    condition = alltrue([
      for role in ["execution", "initializer"] : flatten([
        for statement in jsondecode(aws_iam_role_policy.this[role].policy).Statement : statement.Resource if contains(statement.Action, "secretsmanager:GetSecretValue")
      ]) == ["arn:aws:secretsmanager:us-east-1:123456789012:secret:app-abcdef", "arn:aws:secretsmanager:us-east-1:123456789012:secret:tls-abcdef"]
    ])
    error_message = "Somebody may not read the secrets, or others too."
  }

  assert {
    condition     = output.redis_connection_string == "rediss://redis-cluster.local:6379" && length(aws_secretsmanager_secret.password) == 0 && strcontains(aws_ecs_task_definition.this[0].container_definitions, "rediss://localhost:6379")
    error_message = "Clients are told another address."
  }
}

run "tls_of_the_image" {
  command = plan

  variables {
    redis_image    = "example.com/redis-with-tls:7.2"
    redis_exporter = { enabled = true }
    tls_ca         = { secret_arn = "arn:aws:secretsmanager:us-east-1:123456789012:secret:ca-abcdef" }
    redis_config = {
      port             = 0
      tls_port         = 6380
      tls_cert_file    = "/tls/redis.crt"
      tls_key_file     = "/tls/redis.key"
      tls_ca_cert_file = "/tls/ca.crt"
      tls_replication  = "yes"
      tls_cluster      = "yes"
    }
  }

  assert {
    condition = {
      for variable in jsondecode(aws_ecs_task_definition.this[0].container_definitions)[0].environment : variable.name => variable.value
      } == {
      REDIS_CONFIG          = "tls-ca-cert-file /tls/ca.crt\ntls-cert-file /tls/redis.crt\ntls-key-file /tls/redis.key"
      REDIS_PORT            = "6380"
      REDIS_TASK_MEMORY_MIB = "2048"
    }
    error_message = "The nodes get another environment."
  }

  assert {
    condition = {
      for name in ["TLS", "TLS_CA_SECRET_ARN", "REDIS_PORT"] : name => aws_lambda_function.controller[0].environment[0].variables[name]
      } == {
      TLS               = "true"
      TLS_CA_SECRET_ARN = "arn:aws:secretsmanager:us-east-1:123456789012:secret:ca-abcdef"
      REDIS_PORT        = "6380"
    }
    error_message = "The controller does not speak TLS, or does not know the CA."
  }

  assert {
    condition = flatten([
      for statement in jsondecode(aws_iam_role_policy.this["initializer"].policy).Statement : statement.Resource if contains(statement.Action, "secretsmanager:GetSecretValue")
    ]) == ["arn:aws:secretsmanager:us-east-1:123456789012:secret:ca-abcdef"]
    error_message = "The controller may not read the CA, or more."
  }

  assert {
    condition     = output.redis_connection_string == "rediss://redis-cluster.local:6380" && strcontains(output.commands.cluster_info, "--tls --cacert /tls/ca.crt") && strcontains(aws_ecs_task_definition.this[0].container_definitions, "rediss://localhost:6380")
    error_message = "Clients are told another address."
  }
}

run "tls_of_the_image_by_a_public_ca" {
  command = plan

  variables {
    redis_image  = "example.com/redis-with-tls:7.2"
    redis_config = { tls_port = 6379, tls_cert_file = "/tls/redis.crt", tls_key_file = "/tls/redis.key", tls_ca_cert_file = "/tls/ca.crt" }
  }

  assert {
    condition     = aws_lambda_function.controller[0].environment[0].variables.TLS == "true" && !contains(keys(aws_lambda_function.controller[0].environment[0].variables), "TLS_CA_SECRET_ARN")
    error_message = "The controller trusts another CA."
  }
}

run "least_privilege" {
  command = plan

  # The actions that the controller's code asks AWS for, and what Lambda needs for itself.
  assert {
    condition = toset(flatten([
      for statement in jsondecode(aws_iam_role_policy.this["initializer"].policy).Statement : statement.Action if statement.Effect == "Allow"
      ])) == toset([
      "dynamodb:ConditionCheckItem",
      "dynamodb:GetItem",
      "dynamodb:PutItem",
      "dynamodb:UpdateItem",
      "ec2:AssignPrivateIpAddresses",
      "ec2:CreateNetworkInterface",
      "ec2:DeleteNetworkInterface",
      "ec2:DescribeNetworkInterfaces",
      "ec2:DescribeSubnets",
      "ec2:UnassignPrivateIpAddresses",
      "ecs:DescribeServices",
      "ecs:DescribeTasks",
      "ecs:GetTaskProtection",
      "ecs:ListTasks",
      "ecs:UpdateTaskProtection",
      "logs:CreateLogStream",
      "logs:PutLogEvents",
      "servicediscovery:DiscoverInstances",
      "sqs:SendMessage",
    ])
    error_message = "The controller may do other things: ${aws_iam_role_policy.this["initializer"].policy}"
  }

  assert {
    condition = alltrue([
      for statement in jsondecode(aws_iam_role_policy.this["initializer"].policy).Statement :
      can(statement.Condition) || strcontains(join(" ", statement.Action), "ec2:") if statement.Effect == "Allow" && contains(statement.Resource, "*")
    ])
    error_message = "A statement has neither a resource nor a condition."
  }

  assert {
    condition     = keys(aws_iam_role_policy.this) == ["execution", "initializer"]
    error_message = "The tasks themselves need no policy."
  }

  assert {
    condition     = jsondecode(aws_iam_role.this["task"].assume_role_policy).Statement[0].Condition.StringEquals["aws:SourceAccount"] == "123456789012" && jsondecode(aws_iam_role.this["initializer"].assume_role_policy).Statement[0].Principal.Service == "lambda.amazonaws.com"
    error_message = "Somebody else may take a role."
  }
}

run "data_that_was_to_last" {
  command = plan

  variables {
    redis_config   = { appendonly = true }
    slot_migration = { max_latency_ms = 2.5, max_bytes_per_second = 50000000 }
  }

  assert {
    condition     = aws_lambda_function.controller[0].environment[0].variables["ON_DATA_LOSS"] == "halt"
    error_message = "With persistence a person decides."
  }

  assert {
    condition     = aws_lambda_function.controller[0].environment[0].variables["MOVE_MAX_LATENCY_MS"] == "2.5" && aws_lambda_function.controller[0].environment[0].variables["MOVE_MAX_BYTES_PER_S"] == "50000000"
    error_message = "Slots move at another pace than was asked for."
  }
}

run "data_loss_decided" {
  command = plan

  variables {
    on_data_loss = "rebuild_empty"
    redis_config = { save = "900 1" }
  }

  assert {
    condition     = aws_lambda_function.controller[0].environment[0].variables["ON_DATA_LOSS"] == "rebuild_empty"
    error_message = "What the user says comes first."
  }
}
