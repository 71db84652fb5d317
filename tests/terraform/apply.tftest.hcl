# What is only known once things exist.

provider "aws" {
  region = "us-east-1"
}

variables {
  cluster_name       = "redis"
  vpc_id             = "vpc-0123456789abcdef0"
  private_subnet_ids = ["subnet-a", "subnet-b", "subnet-c"]
}

run "healthy" {
  assert {
    condition     = output.cluster_endpoints == ["10.0.0.1:6379", "10.0.1.1:6379", "10.0.1.2:6379", "10.0.0.2:6379"]
    error_message = "The endpoints are not those that the controller reported: ${jsonencode(output.cluster_endpoints)}"
  }

  assert {
    condition     = aws_ecs_service.this[0].wait_for_steady_state && jsondecode(aws_lambda_invocation.healthy[0].input) == { action = "reconcile", until = "healthy" }
    error_message = "The apply does not wait."
  }

  assert {
    condition     = output.role_arns.initializer == aws_lambda_function.controller[0].role && keys(output.role_arns) == ["execution", "initializer", "task"]
    error_message = "The outputs name other roles."
  }

  assert {
    condition     = output.nodes_security_group_id == aws_security_group.nodes[0].id && contains(aws_ecs_service.this[0].network_configuration[0].security_groups, aws_security_group.nodes[0].id)
    error_message = "The nodes are in another security group."
  }

  assert {
    condition     = output.log_group_names == { tasks = "/aws/ecs/redis", controller = "/aws/lambda/redis-initializer" }
    error_message = "The outputs name other log groups."
  }

  assert {
    condition     = output.password_secret_arn == null
    error_message = "A secret is named that there is not."
  }

  assert {
    condition     = length(aws_cloudwatch_event_target.controller) == 4 && alltrue([for target in aws_cloudwatch_event_target.controller : target.arn == aws_lambda_function.controller[0].arn])
    error_message = "Some rule does not call the controller."
  }

  assert {
    condition     = alltrue([for name, permission in aws_lambda_permission.events : permission.source_arn == aws_cloudwatch_event_rule.controller[name].arn])
    error_message = "Some rule may not call the controller."
  }
}

run "not_waited_for" {
  state_key = "not_waited_for"

  variables {
    wait_for_healthy = false
  }

  assert {
    condition     = length(aws_lambda_invocation.healthy) == 0 && !aws_ecs_service.this[0].wait_for_steady_state && output.cluster_endpoints == []
    error_message = "The apply waits all the same."
  }
}

run "nothing" {
  state_key = "nothing"

  variables {
    create = false
  }

  assert {
    condition     = length(aws_ecs_service.this) + length(aws_iam_role.this) + length(aws_security_group.nodes) + length(aws_lambda_function.controller) + length(data.aws_subnet.private) + length(aws_dynamodb_table.state) + length(aws_cloudwatch_event_rule.controller) == 0
    error_message = "Something is created although create is false."
  }

  assert {
    condition     = output.ecs_cluster_arn == null && output.state_table_name == null && output.role_arns == {}
    error_message = "The outputs name what there is not."
  }
}

run "generated_password" {
  state_key = "generated_password"

  variables {
    auth = { generate_password = true }
  }

  assert {
    condition     = aws_secretsmanager_secret.password[0].name == "redis-password" && output.password_secret_arn == aws_secretsmanager_secret.password[0].arn
    error_message = "The secret is named otherwise."
  }

  assert {
    condition     = aws_secretsmanager_secret_version.password[0].secret_string_wo == null && aws_secretsmanager_secret_version.password[0].secret_string == null
    error_message = "The password is in the state."
  }

  assert {
    condition     = jsondecode(aws_ecs_task_definition.this[0].container_definitions)[0].secrets == [{ name = "REDIS_PASSWORD", valueFrom = aws_secretsmanager_secret.password[0].arn }]
    error_message = "The nodes do not get the password."
  }

  assert {
    condition     = aws_lambda_function.controller[0].environment[0].variables.PASSWORD_SECRET_ARN == aws_secretsmanager_secret.password[0].arn
    error_message = "The controller does not get the password."
  }

  assert {
    condition = alltrue([
      for role in ["execution", "initializer"] : contains(
        flatten([for statement in jsondecode(aws_iam_role_policy.this[role].policy).Statement : statement.Resource if contains(statement.Action, "secretsmanager:GetSecretValue")]),
        aws_secretsmanager_secret.password[0].arn,
      )
    ])
    error_message = "Somebody may not read the password."
  }
}

run "requirepass" {
  state_key = "requirepass"

  variables {
    redis_config = {
      requirepass = "my-strong-password"
      masterauth  = "my-strong-password"
      appendonly  = true
    }
  }

  assert {
    condition     = !strcontains(aws_ecs_task_definition.this[0].container_definitions, "my-strong-password") && strcontains(aws_ecs_task_definition.this[0].container_definitions, "appendonly yes")
    error_message = "The password is in the task definition."
  }

  assert {
    condition     = aws_secretsmanager_secret.password[0].name == "redis-password" && aws_secretsmanager_secret_version.password[0].secret_string_wo == null
    error_message = "The password is not in the secret, or in the state too."
  }

  assert {
    condition     = jsondecode(aws_ecs_task_definition.this[0].container_definitions)[0].secrets == [{ name = "REDIS_PASSWORD", valueFrom = aws_secretsmanager_secret.password[0].arn }]
    error_message = "The nodes do not get the password."
  }
}

run "nothing_known_before" {
  state_key = "nothing_known_before"

  module {
    source = "./tests/terraform/unknown"
  }
}
