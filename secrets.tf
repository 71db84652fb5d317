locals {
  requirepass   = lookup(var.redis_config, "requirepass", "")
  generate      = try(var.auth.generate_password, false)
  create_secret = var.create && (local.generate || local.requirepass != "")
  has_password  = var.auth != null || local.requirepass != ""
  password_arn  = local.create_secret ? aws_secretsmanager_secret.password[0].arn : try(var.auth.password_secret_arn, null)

  tls_arn = try(var.tls.secret_arn, null)
  # The CA by which the controller knows the nodes; none means the public ones.
  ca_arns = var.tls != null ? ["${local.tls_arn}:ca::"] : var.tls_ca != null ? [var.tls_ca.secret_arn] : []

  # Name of the variable to valueFrom, as the redis container has them.
  node_secrets = merge(
    local.has_password ? { REDIS_PASSWORD = local.password_arn } : {},
    var.tls == null ? {} : {
      REDIS_TLS_CERT = "${local.tls_arn}:cert::"
      REDIS_TLS_KEY  = "${local.tls_arn}:key::"
      REDIS_TLS_CA   = "${local.tls_arn}:ca::"
    },
    var.secrets,
  )
}

# Opened at each plan and apply, and stored nowhere but in the secret.
ephemeral "aws_secretsmanager_random_password" "this" {
  count = var.create && local.generate ? 1 : 0

  password_length     = 32
  exclude_punctuation = true
}

resource "aws_secretsmanager_secret" "password" {
  # checkov:skip=CKV2_AWS_57: Nodes read the password when they start: one that rotates by itself would lock the controller out of them.
  # checkov:skip=CKV_AWS_149: kms_key_arn encrypts it with a key of yours; without one, AWS' own key does.
  count = local.create_secret ? 1 : 0

  name        = "${var.cluster_name}-password"
  description = "Password of the Redis Cluster ${var.cluster_name}"
  kms_key_id  = var.kms_key_arn
  # The data goes with the cluster, so nothing is left that an old password would open; and a cluster
  # of the same name can be created at once.
  recovery_window_in_days = 0
  tags                    = var.tags
}

resource "aws_secretsmanager_secret_version" "password" {
  count = local.create_secret ? 1 : 0

  secret_id        = aws_secretsmanager_secret.password[0].id
  secret_string_wo = local.generate ? ephemeral.aws_secretsmanager_random_password.this[0].random_password : local.requirepass
  # Write-only arguments are written when their version changes: a generated password never, a
  # requirepass when it does. 24 bits of its hash say so, and say next to nothing about it.
  secret_string_wo_version = local.generate ? 1 : parseint(substr(sha256(local.requirepass), 0, 6), 16)
}
