# What is refused at plan time. Each run changes one thing of a configuration that plans.

provider "aws" {
  region = "us-east-1"
}

variables {
  cluster_name       = "redis"
  vpc_id             = "vpc-0123456789abcdef0"
  private_subnet_ids = ["subnet-a", "subnet-b", "subnet-c"]
}

run "range_that_is_none" {
  command = plan

  variables {
    allowed_cidr_blocks = ["10.0.0.0/33"]
  }

  expect_failures = [var.allowed_cidr_blocks]
}

run "security_group_that_is_none" {
  command = plan

  variables {
    allowed_security_group_ids = ["group-1"]
  }

  expect_failures = [var.allowed_security_group_ids]
}

run "auth_with_two_passwords" {
  command = plan

  variables {
    auth = { generate_password = true, password_secret_arn = "arn:aws:secretsmanager:us-east-1:123456789012:secret:x" }
  }

  expect_failures = [var.auth]
}

run "auth_with_no_password" {
  command = plan

  variables {
    auth = {}
  }

  expect_failures = [var.auth]
}

run "password_arn_of_something_else" {
  command = plan

  variables {
    auth = { password_secret_arn = "arn:aws:s3:::bucket" }
  }

  expect_failures = [var.auth]
}

run "capacity_provider_unknown" {
  command = plan

  variables {
    capacity_provider_strategy = [{ capacity_provider = "EC2", weight = 1 }]
  }

  expect_failures = [var.capacity_provider_strategy]
}

run "capacity_providers_without_weight" {
  command = plan

  variables {
    capacity_provider_strategy = [{ capacity_provider = "FARGATE_SPOT" }]
  }

  expect_failures = [var.capacity_provider_strategy]
}

run "capacity_providers_with_two_bases" {
  command = plan

  variables {
    capacity_provider_strategy = [{ capacity_provider = "FARGATE", base = 1, weight = 1 }, { capacity_provider = "FARGATE_SPOT", base = 1, weight = 1 }]
  }

  expect_failures = [var.capacity_provider_strategy]
}

run "namespace_of_one_label" {
  command = plan

  variables {
    cloudmap_namespace = "redis"
  }

  expect_failures = [var.cloudmap_namespace]
}

run "namespace_that_is_no_dns_name" {
  command = plan

  variables {
    cloudmap_namespace = "Redis_Cluster.local"
  }

  expect_failures = [var.cloudmap_namespace]
}

run "log_key_that_is_no_arn" {
  command = plan

  variables {
    cloudwatch_kms_key_id = "1234abcd"
  }

  expect_failures = [var.cloudwatch_kms_key_id]
}

run "retention_that_cloudwatch_lacks" {
  command = plan

  variables {
    cloudwatch_retention_days = 8
  }

  expect_failures = [var.cloudwatch_retention_days]
}

run "name_with_underscore" {
  command = plan

  variables {
    cluster_name = "my_redis"
  }

  expect_failures = [var.cluster_name]
}

run "name_too_long" {
  command = plan

  variables {
    cluster_name = "a123456789b123456789c123456789d1234567890"
  }

  expect_failures = [var.cluster_name]
}

run "insights_unknown" {
  command = plan

  variables {
    container_insights = "on"
  }

  expect_failures = [var.container_insights]
}

run "controller_timeout_beyond_lambda" {
  command = plan

  variables {
    controller_timeout = 901
  }

  expect_failures = [var.controller_timeout]
}

run "architecture_unknown" {
  command = plan

  variables {
    cpu_architecture = "arm"
  }

  expect_failures = [var.cpu_architecture]
}

run "environment_of_the_module" {
  command = plan

  variables {
    environment = { REDIS_PORT = "1" }
  }

  expect_failures = [var.environment]
}

run "storage_beyond_fargate" {
  command = plan

  variables {
    ephemeral_storage_gib = 201
  }

  expect_failures = [var.ephemeral_storage_gib]
}

run "ecs_cluster_that_is_no_arn" {
  command = plan

  variables {
    existing_ecs_cluster = { arn = "main" }
  }

  expect_failures = [var.existing_ecs_cluster]
}

run "namespace_id_that_is_none" {
  command = plan

  variables {
    existing_namespace = { id = "local" }
  }

  expect_failures = [var.existing_namespace]
}

run "key_that_is_an_alias" {
  command = plan

  variables {
    kms_key_arn = "arn:aws:kms:us-east-1:123456789012:alias/x"
  }

  expect_failures = [var.kms_key_arn]
}

run "no_masters" {
  command = plan

  variables {
    master_count = 0
  }

  expect_failures = [var.master_count]
}

run "half_a_master" {
  command = plan

  variables {
    master_count = 1.5
  }

  expect_failures = [var.master_count]
}

run "too_many_tasks" {
  command = plan

  variables {
    master_count  = 251
    replica_count = 250
  }

  expect_failures = [var.master_count]
}

run "boundary_that_is_no_policy" {
  command = plan

  variables {
    permissions_boundary = "arn:aws:iam::123456789012:role/x"
  }

  expect_failures = [var.permissions_boundary]
}

run "no_subnets" {
  command = plan

  variables {
    private_subnet_ids = []
  }

  expect_failures = [var.private_subnet_ids]
}

run "a_subnet_twice" {
  command = plan

  variables {
    private_subnet_ids = ["subnet-a", "subnet-a"]
  }

  expect_failures = [var.private_subnet_ids]
}

run "public_subnet" {
  command = plan

  variables {
    private_subnet_ids = ["subnet-a", "subnet-public-b"]
  }

  expect_failures = [data.aws_subnet.private[1]]
}

run "subnet_of_another_vpc" {
  command = plan

  variables {
    private_subnet_ids = ["subnet-a"]
    vpc_id             = "vpc-99999999999999999"
    replica_count      = 0
  }

  expect_failures = [data.aws_subnet.private[0]]
}

run "schedule_in_singular" {
  command = plan

  variables {
    reconcile_schedule = "rate(5 minute)"
  }

  expect_failures = [var.reconcile_schedule]
}

run "schedule_of_five_fields" {
  command = plan

  variables {
    reconcile_schedule = "cron(0/5 * * * *)"
  }

  expect_failures = [var.reconcile_schedule]
}

run "option_unknown" {
  command = plan

  variables {
    redis_config = { maxmemory_polizy = "noeviction" }
  }

  expect_failures = [var.redis_config]
}

run "option_spelt_with_dashes" {
  command = plan

  variables {
    redis_config = { maxmemory-policy = "noeviction" }
  }

  expect_failures = [var.redis_config]
}

run "cluster_switched_off" {
  command = plan

  variables {
    redis_config = { cluster_enabled = "no" }
  }

  expect_failures = [var.redis_config]
}

run "replicas_that_migrate" {
  command = plan

  variables {
    redis_config = { cluster_allow_replica_migration = "yes" }
  }

  expect_failures = [var.redis_config]
}

run "protected_mode" {
  command = plan

  variables {
    redis_config = { protected_mode = true }
  }

  expect_failures = [var.redis_config]
}

run "announced_address" {
  command = plan

  variables {
    redis_config = { cluster_announce_ip = "10.0.0.1" }
  }

  expect_failures = [var.redis_config]
}

run "directory_elsewhere" {
  command = plan

  variables {
    redis_config = { dir = "/tmp" }
  }

  expect_failures = [var.redis_config]
}

run "certificates_in_the_image" {
  command = plan

  variables {
    redis_config = { tls_cert_file = "/tls/redis.crt" }
  }

  expect_failures = [var.redis_config]
}

run "line_break" {
  command = plan

  variables {
    redis_config = { save = "900 1\nport 1" }
  }

  expect_failures = [var.redis_config]
}

run "password_twice" {
  command = plan

  variables {
    auth         = { generate_password = true }
    redis_config = { requirepass = "secret" }
  }

  expect_failures = [var.redis_config]
}

run "masterauth_of_its_own" {
  command = plan

  variables {
    redis_config = { requirepass = "secret", masterauth = "other" }
  }

  expect_failures = [var.redis_config]
}

run "tls_port_without_certificates" {
  command = plan

  variables {
    redis_config = { tls_port = 6379, port = 0 }
  }

  expect_failures = [var.redis_config]
}

run "tls_files_without_tls_port" {
  command = plan

  variables {
    redis_config = { tls_cert_file = "/tls/redis.crt", tls_key_file = "/tls/redis.key", tls_ca_cert_file = "/tls/ca.crt" }
    redis_image  = "example.com/redis-with-tls:7.2"
  }

  expect_failures = [var.redis_config]
}

run "tls_files_of_the_stock_image" {
  command = plan

  variables {
    redis_config = { port = 0, tls_port = 6379, tls_cert_file = "/tls/redis.crt", tls_key_file = "/tls/redis.key", tls_ca_cert_file = "/tls/ca.crt" }
  }

  expect_failures = [var.redis_config]
}

run "tls_files_beside_a_secret" {
  command = plan

  variables {
    tls          = { secret_arn = "arn:aws:secretsmanager:us-east-1:123456789012:secret:tls" }
    redis_config = { tls_cert_file = "/tls/redis.crt" }
  }

  expect_failures = [var.redis_config]
}

run "plain_port_beside_tls_of_the_image" {
  command = plan

  variables {
    redis_config = { port = 6380, tls_port = 6379, tls_cert_file = "/tls/redis.crt", tls_key_file = "/tls/redis.key", tls_ca_cert_file = "/tls/ca.crt" }
    redis_image  = "example.com/redis-with-tls:7.2"
  }

  expect_failures = [var.redis_config]
}

run "certificates_of_clients" {
  command = plan

  variables {
    tls          = { secret_arn = "arn:aws:secretsmanager:us-east-1:123456789012:secret:tls" }
    redis_config = { tls_auth_clients = "yes" }
  }

  expect_failures = [var.redis_config]
}

run "tls_between_nodes_only" {
  command = plan

  variables {
    redis_config = { tls_cluster = "yes" }
  }

  expect_failures = [var.redis_config]
}

run "tls_for_clients_only" {
  command = plan

  variables {
    tls          = { secret_arn = "arn:aws:secretsmanager:us-east-1:123456789012:secret:tls" }
    redis_config = { tls_replication = "no" }
  }

  expect_failures = [var.redis_config]
}

run "ca_arn_of_something_else" {
  command = plan

  variables {
    redis_image  = "example.com/redis-with-tls:7.2"
    redis_config = { tls_port = 6379, tls_cert_file = "/tls/redis.crt", tls_key_file = "/tls/redis.key", tls_ca_cert_file = "/tls/ca.crt" }
    tls_ca       = { secret_arn = "arn:aws:s3:::bucket" }
  }

  expect_failures = [var.tls_ca]
}

run "ca_without_certificates" {
  command = plan

  variables {
    tls_ca = { secret_arn = "arn:aws:secretsmanager:us-east-1:123456789012:secret:ca" }
  }

  expect_failures = [var.tls_ca]
}

run "plain_port_beside_tls" {
  command = plan

  variables {
    tls          = { secret_arn = "arn:aws:secretsmanager:us-east-1:123456789012:secret:tls" }
    redis_config = { tls_port = 6380, port = 6379 }
  }

  expect_failures = [var.redis_config]
}

run "no_port_at_all" {
  command = plan

  variables {
    redis_config = { port = 0 }
  }

  expect_failures = [var.redis_config]
}

run "port_without_room_for_the_bus" {
  command = plan

  variables {
    redis_config = { port = 60000 }
  }

  expect_failures = [var.redis_config]
}

run "maxmemory_that_is_no_size" {
  command = plan

  variables {
    redis_config = { maxmemory = "2 gigabytes" }
  }

  expect_failures = [var.redis_config]
}

run "maxmemory_over_the_task" {
  command = plan

  variables {
    redis_config = { maxmemory = "3gb" }
  }

  expect_failures = [var.redis_config]
}

run "redis_too_old" {
  command = plan

  variables {
    redis_version = "6.2"
  }

  expect_failures = [var.redis_version]
}

run "version_that_is_no_tag" {
  command = plan

  variables {
    redis_version = "latest"
  }

  expect_failures = [var.redis_version]
}

run "negative_replicas" {
  command = plan

  variables {
    replica_count = -1
  }

  expect_failures = [var.replica_count]
}

run "secret_that_is_no_arn" {
  command = plan

  variables {
    secrets = { TOKEN = "hunter2" }
  }

  expect_failures = [var.secrets]
}

run "sidecar_named_as_the_node" {
  command = plan

  variables {
    sidecar_containers = [{ name = "redis", image = "x" }]
  }

  expect_failures = [var.sidecar_containers]
}

run "cpu_that_fargate_lacks" {
  command = plan

  variables {
    task_cpu = 1000
  }

  expect_failures = [var.task_cpu]
}

run "memory_that_goes_with_other_cpu" {
  command = plan

  variables {
    task_cpu    = 256
    task_memory = 4096
  }

  expect_failures = [var.task_memory]
}

run "memory_between_steps" {
  command = plan

  variables {
    task_cpu    = 8192
    task_memory = 17408
  }

  expect_failures = [var.task_memory]
}

run "tls_arn_of_something_else" {
  command = plan

  variables {
    tls = { secret_arn = "arn:aws:s3:::bucket" }
  }

  expect_failures = [var.tls]
}

run "vpc_that_is_none" {
  command = plan

  variables {
    vpc_id             = "default"
    private_subnet_ids = []
  }

  expect_failures = [var.vpc_id, var.private_subnet_ids]
}

run "one_zone_for_all" {
  command = plan

  variables {
    private_subnet_ids = ["subnet-1-a", "subnet-2-a"]
  }

  expect_failures = [check.zones]
}

run "masters_without_replica" {
  command = plan

  variables {
    replica_count = 2
  }

  expect_failures = [check.replicas]
}

run "port_that_is_no_number" {
  command = plan

  variables {
    redis_config = { port = "redis" }
  }

  expect_failures = [var.redis_config]
}

run "data_loss_that_nobody_knows" {
  command = plan

  variables {
    on_data_loss = "restore"
  }

  expect_failures = [var.on_data_loss]
}

run "slots_that_never_move" {
  command = plan

  variables {
    slot_migration = { max_bytes_per_second = 0 }
  }

  expect_failures = [var.slot_migration]
}
