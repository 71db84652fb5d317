data "aws_caller_identity" "current" {}

data "aws_partition" "current" {}

data "aws_region" "current" {}

locals {
  account   = data.aws_caller_identity.current.account_id
  partition = data.aws_partition.current.partition
  region    = data.aws_region.current.id

  # Names, and the ARNs that follow from them: known before anything exists, so that the roles'
  # policies and the event rules are complete before the first task starts.
  container_name   = "redis"
  exporter_port    = 9121
  function_name    = "${var.cluster_name}-initializer"
  service_name     = "redis-cluster-service"
  table_name       = "${var.cluster_name}-state"
  ecs_cluster_arn  = var.existing_ecs_cluster == null ? "arn:${local.partition}:ecs:${local.region}:${local.account}:cluster/${var.cluster_name}" : var.existing_ecs_cluster.arn
  ecs_cluster_name = element(split("/", local.ecs_cluster_arn), 1)
  service_arn      = "${replace(local.ecs_cluster_arn, ":cluster/", ":service/")}/${local.service_name}"
  controller_logs  = "/aws/lambda/${local.function_name}"
  task_logs        = "/aws/ecs/${var.cluster_name}"
  log_arn_prefix   = "arn:${local.partition}:logs:${local.region}:${local.account}:log-group"

  discovery_service = split(".", var.cloudmap_namespace)[0]
  namespace_name    = join(".", slice(split(".", var.cloudmap_namespace), 1, length(split(".", var.cloudmap_namespace))))

  task_count = var.master_count + var.replica_count

  # redis_config names the port as Redis does: `tls_port` with TLS (`port` is 0 then), or `port`.
  plain_port = try(tonumber(lookup(var.redis_config, "port", "0")), 0)
  tls_port   = try(tonumber(lookup(var.redis_config, "tls_port", "0")), 0)
  port       = local.tls_port > 0 ? local.tls_port : local.plain_port > 0 ? local.plain_port : 6379
  bus_port   = local.port + 10000

  # Where there was to be data on disk, a person decides what becomes of slots that are lost.
  persistent   = contains(["yes", "true"], lower(lookup(var.redis_config, "appendonly", "no"))) || !contains(["", "\"\""], lookup(var.redis_config, "save", ""))
  on_data_loss = coalesce(var.on_data_loss, local.persistent ? "halt" : "rebuild_empty")

  slot_migration = {
    MOVE_MAX_LATENCY_MS  = var.slot_migration.max_latency_ms
    MOVE_MAX_BYTES_PER_S = var.slot_migration.max_bytes_per_second
  }

  # Certificates come from a secret, or with the image: then redis_config names its files and a tls_port.
  image_tls = var.tls == null && local.tls_port > 0
  tls       = var.tls != null || local.image_tls

  # MiB that go with each number of CPU units (ECS developer guide, "Task size").
  fargate_memory = {
    "256"   = [512, 1024, 2048]
    "512"   = range(1024, 4096 + 1, 1024)
    "1024"  = range(2048, 8192 + 1, 1024)
    "2048"  = range(4096, 16384 + 1, 1024)
    "4096"  = range(8192, 30720 + 1, 1024)
    "8192"  = range(16384, 61440 + 1, 4096)
    "16384" = range(32768, 122880 + 1, 8192)
  }

  # What Redis 7.0 to 8.4 and Valkey 8.1 to 9.1 know, in the module's spelling.
  known_options = toset(compact(split("\n", file("${path.module}/node/options.txt"))))

  # Options with which a node would not be reachable, or not be what the controller expects: the values
  # that do no harm, of which the first is what the node gets anyway. An empty list allows none.
  managed_options = merge({
    aclfile                         = []
    bind                            = ["* -::*", "*", "0.0.0.0", "0.0.0.0 ::"]
    bind_source_addr                = []
    cluster_allow_replica_migration = ["no", "false"]
    cluster_announce_bus_port       = []
    cluster_announce_hostname       = []
    cluster_announce_human_nodename = []
    cluster_announce_ip             = []
    cluster_announce_port           = []
    cluster_announce_tls_port       = []
    cluster_config_file             = ["nodes.conf"]
    cluster_enabled                 = ["yes", "true"]
    cluster_port                    = ["0"]
    daemonize                       = ["no", "false"]
    dir                             = ["/data"]
    include                         = []
    logfile                         = [""]
    masteruser                      = []
    pidfile                         = []
    primaryauth                     = []
    primaryuser                     = []
    protected_mode                  = ["no", "false"]
    rename_command                  = []
    replicaof                       = []
    slaveof                         = []
    supervised                      = ["no"]
    tls_ca_cert_dir                 = []
    unixsocket                      = []
    user                            = []
    }, var.tls == null ? {} : {
    tls_ca_cert_file = []
    tls_cert_file    = []
    tls_key_file     = []
  })

  unit_bytes = {
    ""   = 1
    "b"  = 1
    "k"  = 1000
    "kb" = 1024
    "m"  = 1000 * 1000
    "mb" = 1024 * 1024
    "g"  = 1000 * 1000 * 1000
    "gb" = 1024 * 1024 * 1024
  }

  # Lines of redis.conf, without what goes another way: ports, TLS, the password, and managed options (the
  # validation has seen to it that they say what the node does anyway).
  config_lines = [
    for name, value in var.redis_config : join(" ", [
      replace(name, "_", "-"),
      value == "" ? "\"\"" : lookup({ "true" = "yes", "false" = "no" }, value, value),
    ])
    if value != null && !contains(["port", "tls_port", "tls_cluster", "tls_replication", "requirepass", "masterauth"], name) && !contains(keys(local.managed_options), name)
  ]
}
