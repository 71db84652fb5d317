locals {
  health = try(jsondecode(aws_lambda_invocation.healthy[0].result), null)
  nodes = flatten([
    for shard in try(local.health.shards, []) : concat(shard.master == null ? [] : [shard.master], shard.replicas)
  ])
}

output "cloudmap_service_name" {
  description = "The DNS name that clients connect to."
  value       = var.cloudmap_namespace
}

output "cluster_endpoints" {
  description = "host:port of every node, as the controller reported them when an apply last waited for it; empty without wait_for_healthy. Clients should use cloudmap_service_name, which follows the nodes."
  value       = [for node in local.nodes : "${node.address}:${local.port}"]
}

output "commands" {
  description = "AWS CLI commands for a first look: the service's state, what the controller thinks and logs, and the cluster's own view (with enable_execute_command)."
  value = {
    service_state     = "aws ecs describe-services --region ${local.region} --cluster ${local.ecs_cluster_name} --services ${local.service_name} --query 'services[0].{running:runningCount,desired:desiredCount,deployments:deployments[*].rolloutState,events:events[:5].message}'"
    controller_status = "aws lambda invoke --region ${local.region} --function-name ${local.function_name} --cli-binary-format raw-in-base64-out --payload '{\"action\":\"status\"}' /dev/stdout"
    controller_log    = "aws logs tail ${local.controller_logs} --region ${local.region} --follow"
    cluster_info = join(" ", [
      "aws ecs execute-command --region ${local.region} --cluster ${local.ecs_cluster_name} --container ${local.container_name} --interactive",
      "--task $(aws ecs list-tasks --region ${local.region} --cluster ${local.ecs_cluster_name} --service-name ${local.service_name} --query 'taskArns[0]' --output text)",
      "--command \"sh -c '${local.has_password ? "REDISCLI_AUTH=$REDIS_PASSWORD " : ""}$(command -v redis-cli || command -v valkey-cli) -p ${local.port}${local.tls ? " --tls --cacert ${local.image_tls ? lookup(var.redis_config, "tls_ca_cert_file", "") : "/data/tls-ca.crt"}" : ""} cluster info'\"",
    ])
  }
}

output "controller_function_arn" {
  description = "ARN of the controller's Lambda function."
  value       = try(aws_lambda_function.controller[0].arn, null)
}

output "controller_function_name" {
  description = "Name of the controller's Lambda function."
  value       = try(aws_lambda_function.controller[0].function_name, null)
}

output "controller_security_group_id" {
  description = "Security group of the controller."
  value       = try(aws_security_group.controller[0].id, null)
}

output "ecs_cluster_arn" {
  description = "ARN of the ECS cluster."
  value       = var.create ? local.ecs_cluster_arn : null
}

output "ecs_service_name" {
  description = "Name of the ECS service."
  value       = try(aws_ecs_service.this[0].name, null)
}

output "log_group_names" {
  description = "Log groups of the nodes and of the controller."
  value       = { for name, group in { tasks = aws_cloudwatch_log_group.tasks, controller = aws_cloudwatch_log_group.controller } : name => group[0].name if length(group) > 0 }
}

output "nodes_security_group_id" {
  description = "Security group of the nodes."
  value       = try(aws_security_group.nodes[0].id, null)
}

output "password_secret_arn" {
  description = "ARN of the secret that holds the password; null without one."
  value       = local.password_arn
}

output "redis_connection_string" {
  description = "URL that clients connect to, without the password."
  value       = "${local.tls ? "rediss" : "redis"}://${var.cloudmap_namespace}:${local.port}"
}

output "role_arns" {
  description = "ARNs of the roles: execution, initializer (the controller's) and task."
  value       = { for name, role in aws_iam_role.this : name => role.arn }
}

output "state_table_name" {
  description = "The controller's DynamoDB table."
  value       = try(aws_dynamodb_table.state[0].name, null)
}

output "task_definition_arn" {
  description = "ARN of the task definition's current revision."
  value       = try(aws_ecs_task_definition.this[0].arn, null)
}
