# Names and counts of clusters of all sizes, from the smallest to the largest that is usual.

provider "aws" {
  region = "us-east-1"
}

variables {
  vpc_id             = "vpc-0123456789abcdef0"
  private_subnet_ids = ["subnet-a", "subnet-b", "subnet-c"]
}

run "masters_1_replicas_0" {
  command = plan

  variables {
    cluster_name  = "redis-1-0"
    master_count  = 1
    replica_count = 0
  }

  assert {
    condition     = aws_ecs_service.this[0].desired_count == 1
    error_message = "ECS is asked for ${aws_ecs_service.this[0].desired_count} tasks."
  }

  assert {
    condition = [
      for name in ["CLUSTER_NAME", "MASTER_COUNT", "REPLICA_COUNT", "STATE_TABLE"] :
      aws_lambda_function.controller[0].environment[0].variables[name]
    ] == ["redis-1-0", "1", "0", "redis-1-0-state"]
    error_message = "The controller is told otherwise."
  }

  assert {
    condition     = aws_lambda_invocation.healthy[0].triggers.master_count == "1" && aws_lambda_invocation.healthy[0].triggers.replica_count == "0"
    error_message = "A change of the counts would not wait for the cluster."
  }
}

run "masters_1_replicas_1" {
  command = plan

  variables {
    cluster_name  = "redis-1-1"
    master_count  = 1
    replica_count = 1
  }

  assert {
    condition     = aws_ecs_service.this[0].desired_count == 2
    error_message = "ECS is asked for ${aws_ecs_service.this[0].desired_count} tasks."
  }

  assert {
    condition = [
      for name in ["CLUSTER_NAME", "MASTER_COUNT", "REPLICA_COUNT", "STATE_TABLE"] :
      aws_lambda_function.controller[0].environment[0].variables[name]
    ] == ["redis-1-1", "1", "1", "redis-1-1-state"]
    error_message = "The controller is told otherwise."
  }

  assert {
    condition     = aws_lambda_invocation.healthy[0].triggers.master_count == "1" && aws_lambda_invocation.healthy[0].triggers.replica_count == "1"
    error_message = "A change of the counts would not wait for the cluster."
  }
}

run "masters_2_replicas_2" {
  command = plan

  variables {
    cluster_name  = "redis-2-2"
    master_count  = 2
    replica_count = 2
  }

  assert {
    condition     = aws_ecs_service.this[0].desired_count == 4
    error_message = "ECS is asked for ${aws_ecs_service.this[0].desired_count} tasks."
  }

  assert {
    condition = [
      for name in ["CLUSTER_NAME", "MASTER_COUNT", "REPLICA_COUNT", "STATE_TABLE"] :
      aws_lambda_function.controller[0].environment[0].variables[name]
    ] == ["redis-2-2", "2", "2", "redis-2-2-state"]
    error_message = "The controller is told otherwise."
  }

  assert {
    condition     = aws_lambda_invocation.healthy[0].triggers.master_count == "2" && aws_lambda_invocation.healthy[0].triggers.replica_count == "2"
    error_message = "A change of the counts would not wait for the cluster."
  }
}

run "masters_3_replicas_3" {
  command = plan

  variables {
    cluster_name  = "redis-3-3"
    master_count  = 3
    replica_count = 3
  }

  assert {
    condition     = aws_ecs_service.this[0].desired_count == 6
    error_message = "ECS is asked for ${aws_ecs_service.this[0].desired_count} tasks."
  }

  assert {
    condition = [
      for name in ["CLUSTER_NAME", "MASTER_COUNT", "REPLICA_COUNT", "STATE_TABLE"] :
      aws_lambda_function.controller[0].environment[0].variables[name]
    ] == ["redis-3-3", "3", "3", "redis-3-3-state"]
    error_message = "The controller is told otherwise."
  }

  assert {
    condition     = aws_lambda_invocation.healthy[0].triggers.master_count == "3" && aws_lambda_invocation.healthy[0].triggers.replica_count == "3"
    error_message = "A change of the counts would not wait for the cluster."
  }
}

run "masters_3_replicas_6" {
  command = plan

  variables {
    cluster_name  = "redis-3-6"
    master_count  = 3
    replica_count = 6
  }

  assert {
    condition     = aws_ecs_service.this[0].desired_count == 9
    error_message = "ECS is asked for ${aws_ecs_service.this[0].desired_count} tasks."
  }

  assert {
    condition = [
      for name in ["CLUSTER_NAME", "MASTER_COUNT", "REPLICA_COUNT", "STATE_TABLE"] :
      aws_lambda_function.controller[0].environment[0].variables[name]
    ] == ["redis-3-6", "3", "6", "redis-3-6-state"]
    error_message = "The controller is told otherwise."
  }

  assert {
    condition     = aws_lambda_invocation.healthy[0].triggers.master_count == "3" && aws_lambda_invocation.healthy[0].triggers.replica_count == "6"
    error_message = "A change of the counts would not wait for the cluster."
  }
}

run "masters_5_replicas_7" {
  command = plan

  variables {
    cluster_name  = "redis-5-7"
    master_count  = 5
    replica_count = 7
  }

  assert {
    condition     = aws_ecs_service.this[0].desired_count == 12
    error_message = "ECS is asked for ${aws_ecs_service.this[0].desired_count} tasks."
  }

  assert {
    condition = [
      for name in ["CLUSTER_NAME", "MASTER_COUNT", "REPLICA_COUNT", "STATE_TABLE"] :
      aws_lambda_function.controller[0].environment[0].variables[name]
    ] == ["redis-5-7", "5", "7", "redis-5-7-state"]
    error_message = "The controller is told otherwise."
  }

  assert {
    condition     = aws_lambda_invocation.healthy[0].triggers.master_count == "5" && aws_lambda_invocation.healthy[0].triggers.replica_count == "7"
    error_message = "A change of the counts would not wait for the cluster."
  }
}

run "masters_12_replicas_12" {
  command = plan

  variables {
    cluster_name  = "redis-12-12"
    master_count  = 12
    replica_count = 12
  }

  assert {
    condition     = aws_ecs_service.this[0].desired_count == 24
    error_message = "ECS is asked for ${aws_ecs_service.this[0].desired_count} tasks."
  }

  assert {
    condition = [
      for name in ["CLUSTER_NAME", "MASTER_COUNT", "REPLICA_COUNT", "STATE_TABLE"] :
      aws_lambda_function.controller[0].environment[0].variables[name]
    ] == ["redis-12-12", "12", "12", "redis-12-12-state"]
    error_message = "The controller is told otherwise."
  }

  assert {
    condition     = aws_lambda_invocation.healthy[0].triggers.master_count == "12" && aws_lambda_invocation.healthy[0].triggers.replica_count == "12"
    error_message = "A change of the counts would not wait for the cluster."
  }
}

run "masters_30_replicas_60" {
  command = plan

  variables {
    cluster_name  = "redis-30-60"
    master_count  = 30
    replica_count = 60
  }

  assert {
    condition     = aws_ecs_service.this[0].desired_count == 90
    error_message = "ECS is asked for ${aws_ecs_service.this[0].desired_count} tasks."
  }

  assert {
    condition = [
      for name in ["CLUSTER_NAME", "MASTER_COUNT", "REPLICA_COUNT", "STATE_TABLE"] :
      aws_lambda_function.controller[0].environment[0].variables[name]
    ] == ["redis-30-60", "30", "60", "redis-30-60-state"]
    error_message = "The controller is told otherwise."
  }

  assert {
    condition     = aws_lambda_invocation.healthy[0].triggers.master_count == "30" && aws_lambda_invocation.healthy[0].triggers.replica_count == "60"
    error_message = "A change of the counts would not wait for the cluster."
  }
}

