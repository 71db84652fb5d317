output "endpoint_ids" {
  description = "Service, as ecs or s3, to id of its endpoint."
  value       = { for name, endpoint in merge(aws_vpc_endpoint.interface, aws_vpc_endpoint.gateway) : name => endpoint.id }
}

output "security_group_id" {
  description = "Security group of the interface endpoints."
  value       = aws_security_group.this.id
}

output "subnet_ids" {
  description = "The subnets, once the endpoints are there: what is started in these finds them."
  value       = var.subnet_ids

  depends_on = [
    aws_vpc_endpoint.gateway,
    aws_vpc_endpoint.interface,
    aws_vpc_security_group_ingress_rule.this,
  ]
}
