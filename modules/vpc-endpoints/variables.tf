variable "allowed_cidr_blocks" {
  type        = list(string)
  description = "IPv4 ranges that may use the interface endpoints, as the VPC's own."

  validation {
    condition     = length(var.allowed_cidr_blocks) > 0
    error_message = "allowed_cidr_blocks is empty, so nobody could use the endpoints: give the VPC's range."
  }
}

variable "enable_execute_command" {
  type        = bool
  description = "Whether ECS Exec is used, which needs one endpoint more."
  default     = false
  nullable    = false
}

variable "name" {
  type        = string
  description = "What the endpoints are named after."
  default     = "redis"
  nullable    = false
}

variable "route_table_ids" {
  type        = list(string)
  description = "Route tables of the subnets, for the gateway endpoints."
}

variable "subnet_ids" {
  type        = list(string)
  description = "Subnets that get an address of each interface endpoint: one in each zone."
}

variable "tags" {
  type        = map(string)
  description = "Tags of everything that takes tags."
  default     = {}
  nullable    = false
}

variable "vpc_id" {
  type        = string
  description = "The VPC."
}
