resource "aws_service_discovery_private_dns_namespace" "this" {
  count = var.create && var.existing_namespace == null ? 1 : 0

  name        = local.namespace_name
  description = "Where ${var.cluster_name} is found"
  vpc         = var.vpc_id
  tags        = var.tags
}

resource "aws_service_discovery_service" "this" {
  count = var.create ? 1 : 0

  name        = local.discovery_service
  description = "Nodes of the Redis Cluster ${var.cluster_name}"
  # Else a destroy fails while ECS has not yet taken the last tasks' addresses out.
  force_destroy = true
  tags          = var.tags

  dns_config {
    namespace_id   = var.existing_namespace == null ? aws_service_discovery_private_dns_namespace.this[0].id : var.existing_namespace.id
    routing_policy = "MULTIVALUE"

    dns_records {
      ttl  = 10
      type = "A"
    }
  }

  # ECS reports the tasks' health. Without the argument, each plan would replace the service.
  health_check_custom_config {
    failure_threshold = 1
  }
}
