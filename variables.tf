variable "allowed_cidr_blocks" {
  type        = list(string)
  description = "IPv4 ranges whose clients may connect. Null allows the VPC's own range, an empty list nobody."
  default     = null

  validation {
    condition     = alltrue([for block in coalesce(var.allowed_cidr_blocks, []) : can(cidrnetmask(block))])
    error_message = "allowed_cidr_blocks holds ${join(", ", [for block in coalesce(var.allowed_cidr_blocks, []) : block if !can(cidrnetmask(block))])}: write IPv4 ranges as 10.0.0.0/16."
  }
}

variable "allowed_security_group_ids" {
  type        = list(string)
  description = "Security groups whose members may connect."
  default     = []
  nullable    = false

  validation {
    condition     = alltrue([for id in var.allowed_security_group_ids : startswith(id, "sg-")])
    error_message = "allowed_security_group_ids holds ${join(", ", [for id in var.allowed_security_group_ids : id if !startswith(id, "sg-")])}: ids of security groups begin with sg-."
  }
}

variable "auth" {
  type = object({
    generate_password   = optional(bool, false)
    password_secret_arn = optional(string)
  })
  description = "The password of all nodes: one that is generated and never enters the state, or an existing secret's (its ARN; `:json-key::` may follow). Null asks for no password, unless `redis_config` has a requirepass."
  default     = null

  validation {
    condition     = var.auth == null ? true : (var.auth.generate_password != (var.auth.password_secret_arn != null))
    error_message = "auth must have exactly one of generate_password = true and password_secret_arn; use null for no password."
  }

  validation {
    condition     = var.auth == null ? true : (var.auth.password_secret_arn == null ? true : can(regex("^arn:[^:]+:secretsmanager:[^:]+:[0-9]{12}:secret:[^:]+(:[^:]*:[^:]*:[^:]*)?$", var.auth.password_secret_arn)))
    error_message = "auth.password_secret_arn is ${jsonencode(try(var.auth.password_secret_arn, null))}: give the ARN of a secret in Secrets Manager, after which :json-key:version-stage:version-id may follow."
  }
}

variable "capacity_provider_strategy" {
  type = list(object({
    capacity_provider = string
    base              = optional(number)
    weight            = optional(number)
  }))
  description = "How tasks spread over FARGATE and FARGATE_SPOT. Empty runs all on FARGATE."
  default     = []
  nullable    = false

  validation {
    condition     = alltrue([for item in var.capacity_provider_strategy : contains(["FARGATE", "FARGATE_SPOT"], item.capacity_provider)])
    error_message = "capacity_provider_strategy names ${join(", ", [for item in var.capacity_provider_strategy : item.capacity_provider if !contains(["FARGATE", "FARGATE_SPOT"], item.capacity_provider)])}: use FARGATE and FARGATE_SPOT."
  }

  validation {
    condition     = length(var.capacity_provider_strategy) == 0 || anytrue([for item in var.capacity_provider_strategy : coalesce(item.weight, 0) > 0])
    error_message = "capacity_provider_strategy gives no capacity provider a weight over 0, so ECS could place only the base: add weight = 1 to one."
  }

  validation {
    condition     = length([for item in var.capacity_provider_strategy : item if coalesce(item.base, 0) > 0]) <= 1
    error_message = "capacity_provider_strategy gives a base to more than one capacity provider: ECS takes one."
  }
}

variable "cloudmap_namespace" {
  type        = string
  description = "The DNS name that clients connect to. Its first label becomes the Cloud Map service, the rest the private namespace."
  default     = "redis-cluster.local"
  nullable    = false

  validation {
    condition     = can(regex("^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?(\\.[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?)+$", var.cloudmap_namespace)) && length(var.cloudmap_namespace) <= 253
    error_message = "cloudmap_namespace is \"${var.cloudmap_namespace}\": give a DNS name of at least two labels in lower case, as redis-cluster.local."
  }
}

variable "cloudwatch_kms_key_id" {
  type        = string
  description = "ARN of the KMS key that encrypts the log groups. Null leaves it to CloudWatch's own key."
  default     = null

  validation {
    condition     = var.cloudwatch_kms_key_id == null ? true : can(regex("^arn:[^:]+:kms:[^:]+:[0-9]{12}:(key|alias)/.+$", var.cloudwatch_kms_key_id))
    error_message = "cloudwatch_kms_key_id is ${coalesce(var.cloudwatch_kms_key_id, "null")}: give the ARN of a KMS key."
  }
}

variable "cloudwatch_retention_days" {
  type        = number
  description = "Days for which the log groups keep what is logged."
  default     = 365
  nullable    = false

  validation {
    condition     = contains([0, 1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, 2192, 2557, 2922, 3288, 3653], var.cloudwatch_retention_days)
    error_message = "cloudwatch_retention_days is ${var.cloudwatch_retention_days}: CloudWatch keeps logs for 1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365 … 3653 days, or for ever (0)."
  }
}

variable "cluster_name" {
  type        = string
  description = "Name of the cluster; everything that the module creates is named after it."

  validation {
    condition     = can(regex("^[A-Za-z][A-Za-z0-9-]{0,39}$", var.cluster_name))
    error_message = "cluster_name is \"${var.cluster_name}\": use at most 40 letters, digits and '-', a letter first."
  }
}

variable "container_insights" {
  type        = string
  description = "Container Insights of the ECS cluster: disabled, enabled or enhanced."
  default     = "enabled"
  nullable    = false

  validation {
    condition     = contains(["disabled", "enabled", "enhanced"], var.container_insights)
    error_message = "container_insights is \"${var.container_insights}\": use disabled, enabled or enhanced."
  }
}

variable "controller_timeout" {
  type        = number
  description = "Seconds that one run of the controller may take; the next run continues what one leaves. Also how long an apply waits for the cluster once all tasks run."
  default     = 300
  nullable    = false

  validation {
    condition     = var.controller_timeout >= 60 && var.controller_timeout <= 900 && floor(var.controller_timeout) == var.controller_timeout
    error_message = "controller_timeout is ${var.controller_timeout}: give whole seconds from 60 to 900 (Lambda's maximum)."
  }
}

variable "cpu_architecture" {
  type        = string
  description = "X86_64, or ARM64 (a fifth cheaper). The image must exist for it; the stock ones do."
  default     = "X86_64"
  nullable    = false

  validation {
    condition     = contains(["X86_64", "ARM64"], var.cpu_architecture)
    error_message = "cpu_architecture is \"${var.cpu_architecture}\": use X86_64 or ARM64."
  }
}

variable "create" {
  type        = bool
  description = "False creates nothing."
  default     = true
  nullable    = false
}

variable "enable_cloudwatch_logs" {
  type        = bool
  description = "Whether the nodes and the controller log to CloudWatch."
  default     = true
  nullable    = false
}

variable "enable_execute_command" {
  type        = bool
  description = "Whether ECS Exec may open a shell in a task (the output commands.cluster_info needs it)."
  default     = false
  nullable    = false
}

variable "environment" {
  type        = map(string)
  description = "More environment variables of the redis container."
  default     = {}
  nullable    = false

  validation {
    condition     = alltrue([for name in keys(var.environment) : can(regex("^[A-Za-z_][A-Za-z0-9_]*$", name)) && !startswith(name, "REDIS_")])
    error_message = "environment sets ${join(", ", [for name in keys(var.environment) : name if !can(regex("^[A-Za-z_][A-Za-z0-9_]*$", name)) || startswith(name, "REDIS_")])}: use letters, digits and '_'; what begins with REDIS_ belongs to the module."
  }
}

variable "ephemeral_storage_gib" {
  type        = number
  description = "GiB of disk of each task, where RDB and AOF files go while the task lives."
  default     = 20
  nullable    = false

  validation {
    condition     = var.ephemeral_storage_gib >= 20 && var.ephemeral_storage_gib <= 200 && floor(var.ephemeral_storage_gib) == var.ephemeral_storage_gib
    error_message = "ephemeral_storage_gib is ${var.ephemeral_storage_gib}: Fargate has 20 to 200 GiB."
  }
}

variable "existing_ecs_cluster" {
  type        = object({ arn = string })
  description = "The ECS cluster to run in. Null creates one of its own."
  default     = null

  validation {
    condition     = var.existing_ecs_cluster == null ? true : can(regex("^arn:[^:]+:ecs:[^:]+:[0-9]{12}:cluster/[A-Za-z0-9_-]+$", var.existing_ecs_cluster.arn))
    error_message = "existing_ecs_cluster.arn is ${try(var.existing_ecs_cluster.arn, "")}: give the ARN of an ECS cluster, as arn:aws:ecs:us-east-1:123456789012:cluster/main."
  }
}

variable "existing_namespace" {
  type        = object({ id = string })
  description = "The private DNS namespace to register in, named as cloudmap_namespace without its first label. Null creates one. Several clusters in one VPC share one."
  default     = null

  validation {
    condition     = var.existing_namespace == null ? true : startswith(var.existing_namespace.id, "ns-")
    error_message = "existing_namespace.id is ${try(var.existing_namespace.id, "")}: ids of Cloud Map namespaces begin with ns-."
  }
}

variable "kms_key_arn" {
  type        = string
  description = "ARN of the KMS key for what the module stores: the password, the controller's table, environment and dead letters, the tasks' disks. Null leaves it to AWS' own keys. Logs have cloudwatch_kms_key_id."
  default     = null

  validation {
    condition     = var.kms_key_arn == null ? true : can(regex("^arn:[^:]+:kms:[^:]+:[0-9]{12}:key/.+$", var.kms_key_arn))
    error_message = "kms_key_arn is ${coalesce(var.kms_key_arn, "null")}: give the ARN of a KMS key (of the key, not of an alias)."
  }
}

variable "master_count" {
  type        = number
  description = "Masters, that is shards. With 1 or 2, which Redis cannot elect among, the controller does."
  default     = 3
  nullable    = false

  validation {
    condition     = var.master_count >= 1 && floor(var.master_count) == var.master_count
    error_message = "master_count is ${var.master_count}: a cluster needs a whole number of masters, at least 1."
  }

  validation {
    condition     = var.master_count + var.replica_count <= 500
    error_message = "master_count ${var.master_count} + replica_count ${var.replica_count} makes ${var.master_count + var.replica_count} tasks; clusters of up to 500 are supported. Use fewer, larger tasks."
  }
}

variable "on_data_loss" {
  type        = string
  description = "What becomes of slots whose data no node holds any more: `halt` leaves them unserved until a person decides, `rebuild_empty` serves them again without data. Null is `halt` where redis_config has persistence (appendonly or save), else `rebuild_empty`."
  default     = null

  validation {
    condition     = var.on_data_loss == null || contains(["halt", "rebuild_empty"], coalesce(var.on_data_loss, "-"))
    error_message = "on_data_loss is ${jsonencode(var.on_data_loss)}: use \"halt\", \"rebuild_empty\" or null."
  }
}

variable "permissions_boundary" {
  type        = string
  description = "ARN of the policy that bounds the roles."
  default     = null

  validation {
    condition     = var.permissions_boundary == null ? true : can(regex("^arn:[^:]+:iam::([0-9]{12}|aws):policy/.+$", var.permissions_boundary))
    error_message = "permissions_boundary is ${coalesce(var.permissions_boundary, "null")}: give the ARN of an IAM policy."
  }
}

variable "private_subnet_ids" {
  type        = list(string)
  description = "Subnets of the tasks and of the controller, best in three zones. They reach AWS by NAT or by VPC endpoints (modules/vpc-endpoints)."

  validation {
    condition     = length(var.private_subnet_ids) > 0 && length(distinct(var.private_subnet_ids)) == length(var.private_subnet_ids)
    error_message = "private_subnet_ids has ${length(var.private_subnet_ids)} subnets, ${length(distinct(var.private_subnet_ids))} of them different: give at least one, and each once."
  }
}

variable "reconcile_schedule" {
  type        = string
  description = "When the controller looks at the cluster even if no event has called it, as EventBridge's schedule expression."
  default     = "rate(1 minute)"
  nullable    = false

  validation {
    condition     = can(regex("^(rate\\((1 (minute|hour|day)|([2-9]|[1-9][0-9]+) (minutes|hours|days))\\)|cron\\(\\S+ \\S+ \\S+ \\S+ \\S+ \\S+\\))$", var.reconcile_schedule))
    error_message = "reconcile_schedule is \"${var.reconcile_schedule}\": write rate(1 minute), rate(5 minutes) or cron(0/5 * * * ? *), with six fields."
  }
}

variable "redis_config" {
  type        = map(string)
  description = "Options of redis.conf, in Redis' own names with `_` for `-`. true and false become yes and no. requirepass goes into a secret."
  default     = {}
  nullable    = false

  validation {
    condition = alltrue([for name in keys(var.redis_config) : contains(local.known_options, name)])
    # The nearest known option is the one that shares most pairs of letters (Dice's coefficient).
    error_message = join(" ", [
      for name in keys(var.redis_config) : format(
        "redis_config has %s, which neither Redis nor Valkey knows. Did you mean %s?",
        name,
        element(split(" ", element(reverse(sort([
          for option in local.known_options : format(
            "%04d %s",
            floor(2000 * length(setintersection(
              toset([for at in range(length(name) - 1) : substr(name, at, 2)]),
              toset([for at in range(length(option) - 1) : substr(option, at, 2)]),
            )) / (length(name) + length(option))),
            option,
          )
        ])), 0)), 1),
      ) if !contains(local.known_options, name)
    ])
  }

  validation {
    condition = alltrue([
      for name, value in var.redis_config :
      contains(lookup(local.managed_options, name, [lower(value)]), lower(value))
    ])
    error_message = join(" ", [
      for name, value in var.redis_config : format(
        "redis_config.%s is \"%s\", but the cluster depends on this option being %s: leave it out.",
        name, value,
        length(local.managed_options[name]) == 0 ? "managed by the module" : local.managed_options[name][0],
      ) if !contains(lookup(local.managed_options, name, [lower(value)]), lower(value))
    ])
  }

  validation {
    condition     = alltrue([for value in values(var.redis_config) : !strcontains(coalesce(value, "-"), "\n")])
    error_message = "redis_config.${join(", ", [for name, value in var.redis_config : name if strcontains(coalesce(value, "-"), "\n")])} holds a line break: each option is one line of redis.conf."
  }

  validation {
    condition     = lookup(var.redis_config, "requirepass", "") == "" || var.auth == null
    error_message = "redis_config.requirepass and auth both set the password: keep auth."
  }

  validation {
    condition     = lookup(var.redis_config, "masterauth", "") == lookup(var.redis_config, "requirepass", "") || !contains(keys(var.redis_config), "masterauth")
    error_message = "redis_config.masterauth differs from requirepass, but every node can become a master: leave masterauth out, it is set to the password."
  }

  validation {
    condition     = var.tls != null || lookup(var.redis_config, "tls_port", "0") == "0" || alltrue([for name in ["tls_cert_file", "tls_key_file", "tls_ca_cert_file"] : lookup(var.redis_config, name, "") != ""])
    error_message = "redis_config.tls_port is ${lookup(var.redis_config, "tls_port", "")}, but there are no certificates: put the PEM texts into a secret, and give its ARN as tls.secret_arn; or name the files that redis_image brings as tls_cert_file, tls_key_file and tls_ca_cert_file."
  }

  validation {
    condition     = var.tls != null || lookup(var.redis_config, "tls_port", "0") != "0" || alltrue([for name in ["tls_cert_file", "tls_key_file", "tls_ca_cert_file"] : lookup(var.redis_config, name, "") == ""])
    error_message = "redis_config names files with certificates, but no tls_port: set tls_port = 6379 and port = 0."
  }

  validation {
    condition     = var.tls != null || lookup(var.redis_config, "tls_cert_file", "") == "" || var.redis_image != null
    error_message = "redis_config.tls_cert_file is ${lookup(var.redis_config, "tls_cert_file", "")}, which the stock image does not have: name the image that does as redis_image, or put the PEM texts into a secret, and give its ARN as tls.secret_arn."
  }

  validation {
    condition = alltrue([
      for name in ["tls_cluster", "tls_replication"] : contains(
        var.tls != null || lookup(var.redis_config, "tls_port", "0") != "0" ? ["default", "yes", "true"] : ["default", "no", "false"],
        lower(lookup(var.redis_config, name, "default")),
      )
    ])
    error_message = "redis_config.tls_cluster and tls_replication go with TLS, which is ${var.tls != null || lookup(var.redis_config, "tls_port", "0") != "0" ? "on" : "off"}: leave them out."
  }

  validation {
    condition     = !contains(["yes", "true"], lower(lookup(var.redis_config, "tls_auth_clients", "no")))
    error_message = "redis_config.tls_auth_clients is ${lookup(var.redis_config, "tls_auth_clients", "")}, but the controller has no certificate of its own: set it to no or optional."
  }

  validation {
    condition     = (var.tls == null && lookup(var.redis_config, "tls_port", "0") == "0") || contains(["0", lookup(var.redis_config, "tls_port", "0")], lookup(var.redis_config, "port", "0"))
    error_message = "redis_config.port is ${lookup(var.redis_config, "port", "")} beside TLS: TLS replaces the plain port. Set port = 0, or leave it out and set tls_port."
  }

  validation {
    condition     = var.tls != null || lookup(var.redis_config, "tls_port", "0") != "0" || lookup(var.redis_config, "port", "6379") != "0"
    error_message = "redis_config.port is 0, which only goes with TLS: set tls.secret_arn, or tls_port and the files of your image, or leave port out."
  }

  validation {
    condition     = alltrue([for name in ["port", "tls_port"] : try(tonumber(lookup(var.redis_config, name, "0")) <= 55535 && tonumber(lookup(var.redis_config, name, "0")) >= 0, false)])
    error_message = "redis_config.port is ${lookup(var.redis_config, "port", "6379")} and tls_port ${lookup(var.redis_config, "tls_port", "0")}: a port is at most 55535, since the cluster bus listens 10000 above it."
  }

  validation {
    condition     = can(regex("^[0-9]+([kKmMgG][bB]?|[bB])?$", lookup(var.redis_config, "maxmemory", "0")))
    error_message = "redis_config.maxmemory is \"${lookup(var.redis_config, "maxmemory", "")}\": write bytes, or a whole number with kb, mb or gb, as 1500mb."
  }

  validation {
    condition = try(
      tonumber(regex("^[0-9]+", lookup(var.redis_config, "maxmemory", "0")))
      * local.unit_bytes[lower(regex("[A-Za-z]*$", lookup(var.redis_config, "maxmemory", "0")))]
      <= var.task_memory * 1024 * 1024,
      true,
    )
    error_message = "redis_config.maxmemory is ${lookup(var.redis_config, "maxmemory", "")}, more than the task's memory of ${var.task_memory} MiB: ECS would kill the task. Use three quarters of task_memory (what you get without maxmemory), or raise task_memory."
  }
}

variable "redis_exporter" {
  type = object({
    enabled = optional(bool, false)
    image   = optional(string, "quay.io/oliver006/redis_exporter:v1.74.0-alpine")
  })
  description = "A Prometheus exporter beside each node, on port 9121, for whoever may connect to the nodes."
  default     = {}
  nullable    = false
}

variable "redis_image" {
  type        = string
  description = "Image of the nodes, of Redis 7 or 8 or of Valkey, as valkey/valkey:9.1; it runs as user 999, to whom /data must belong, as in the stock images. Null takes the stock Redis image of redis_version from ECR Public."
  default     = null
}

variable "redis_version" {
  type        = string
  description = "Tag of the stock Redis image, as 7.2 or 7.2-alpine; redis_image overrides it."
  default     = "7.2"
  nullable    = false

  validation {
    condition     = can(regex("^[0-9]+(\\.[0-9]+){0,2}(-[a-z0-9.]+)?$", var.redis_version)) && try(tonumber(regex("^[0-9]+", var.redis_version)) >= 7, false)
    error_message = "redis_version is \"${var.redis_version}\": give a tag of the stock image from 7.0 on, as 7.2 or 8.2-alpine. (Older nodes cannot say which task they are.)"
  }
}

variable "replica_count" {
  type        = number
  description = "Replicas in total, not per master; they spread evenly over the masters."
  default     = 3
  nullable    = false

  validation {
    condition     = var.replica_count >= 0 && floor(var.replica_count) == var.replica_count
    error_message = "replica_count is ${var.replica_count}: use 0 for no replicas, or a positive whole number."
  }
}

variable "secrets" {
  type        = map(string)
  description = "More secrets of the redis container: name of the environment variable to ARN in Secrets Manager or Parameter Store."
  default     = {}
  nullable    = false

  validation {
    condition     = alltrue([for name, arn in var.secrets : !startswith(name, "REDIS_") && can(regex("^arn:[^:]+:(secretsmanager:[^:]+:[0-9]{12}:secret:|ssm:[^:]+:[0-9]{12}:parameter/)", arn))])
    error_message = "secrets sets ${join(", ", [for name, arn in var.secrets : "${name} = ${arn}" if startswith(name, "REDIS_") || !can(regex("^arn:[^:]+:(secretsmanager:[^:]+:[0-9]{12}:secret:|ssm:[^:]+:[0-9]{12}:parameter/)", arn))])}: give ARNs of secrets or parameters; names that begin with REDIS_ belong to the module."
  }
}

variable "sidecar_containers" {
  type        = any
  description = "More containers of each task, as a list of ECS container definitions. They are not essential and log beside the node unless they say otherwise."
  default     = []
  nullable    = false

  validation {
    condition     = alltrue([for container in var.sidecar_containers : can(container.image) && !contains(["redis", "redis-exporter"], try(container.name, "redis"))])
    error_message = "Each of sidecar_containers needs an image and a name other than redis and redis-exporter."
  }
}

variable "slot_migration" {
  type = object({
    max_latency_ms       = optional(number)
    max_bytes_per_second = optional(number)
  })
  description = "How much moving slots, when master_count changes, may disturb clients: how many milliseconds a command may have to wait for it (10 unless set), and how many bytes may leave each master in a second (no limit unless set)."
  default     = {}
  nullable    = false

  validation {
    condition     = alltrue([for value in values(var.slot_migration) : coalesce(value, 1) >= 1])
    error_message = "slot_migration is ${jsonencode({ for name, value in var.slot_migration : name => value if value != null })}: give 1 or more for each, or leave it out."
  }
}

variable "tags" {
  type        = map(string)
  description = "Tags of everything that takes tags."
  default     = {}
  nullable    = false
}

variable "task_cpu" {
  type        = number
  description = "CPU units of each task; 1024 are one vCPU."
  default     = 1024
  nullable    = false

  validation {
    condition     = contains(keys(local.fargate_memory), tostring(var.task_cpu))
    error_message = "task_cpu is ${var.task_cpu}: Fargate sells 256, 512, 1024, 2048, 4096, 8192 and 16384 units."
  }
}

variable "task_memory" {
  type        = number
  description = "MiB of each task. Three quarters become Redis' maxmemory, unless `redis_config` says otherwise."
  default     = 2048
  nullable    = false

  validation {
    condition     = contains(lookup(local.fargate_memory, tostring(var.task_cpu), [var.task_memory]), var.task_memory)
    error_message = "task_memory is ${var.task_memory}, which Fargate does not sell with task_cpu ${var.task_cpu}: it sells ${join(", ", lookup(local.fargate_memory, tostring(var.task_cpu), []))} MiB."
  }
}

variable "tls" {
  type        = object({ secret_arn = string })
  description = "TLS for clients and between nodes: the ARN of a secret whose JSON has the PEM texts `cert`, `key` and `ca`. Null speaks plain text."
  default     = null

  validation {
    condition     = var.tls == null ? true : can(regex("^arn:[^:]+:secretsmanager:[^:]+:[0-9]{12}:secret:[^:]+$", var.tls.secret_arn))
    error_message = "tls.secret_arn is ${try(var.tls.secret_arn, "")}: give the ARN of a secret in Secrets Manager."
  }
}

variable "tls_ca" {
  type        = object({ secret_arn = string })
  description = "The CA of the certificates that redis_image brings (tls_cert_file and the like of redis_config), for the controller: the ARN of a secret with its PEM text; `:json-key::` may follow. Null trusts the public CAs."
  default     = null

  validation {
    condition     = var.tls_ca == null ? true : can(regex("^arn:[^:]+:secretsmanager:[^:]+:[0-9]{12}:secret:", var.tls_ca.secret_arn))
    error_message = "tls_ca.secret_arn is ${try(var.tls_ca.secret_arn, "")}: give the ARN of a secret in Secrets Manager."
  }

  validation {
    condition     = var.tls_ca == null || (var.tls == null && lookup(var.redis_config, "tls_port", "0") != "0")
    error_message = "tls_ca only goes with certificates that redis_image brings (tls_port, tls_cert_file, tls_key_file and tls_ca_cert_file of redis_config): leave it out."
  }
}

variable "use_name_prefix" {
  type        = bool
  description = "Whether IAM roles and security groups take their names as prefixes. Roles are global: clusters of one name in several regions need it."
  default     = true
  nullable    = false
}

variable "vpc_id" {
  type        = string
  description = "The VPC of the subnets."

  validation {
    condition     = startswith(var.vpc_id, "vpc-")
    error_message = "vpc_id is \"${var.vpc_id}\": ids of VPCs begin with vpc-."
  }
}

variable "wait_for_healthy" {
  type        = bool
  description = "Whether an apply ends only when the cluster is healthy, and fails with the controller's sentence if it does not become so."
  default     = true
  nullable    = false
}
