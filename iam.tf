# Three roles, each with the actions and resources that it uses: `execution` is what ECS starts tasks
# with, `task` what runs inside them, `initializer` the controller.

locals {
  roles = {
    execution   = "ecs-tasks"
    initializer = "lambda"
    task        = "ecs-tasks"
  }

  # ARNs in Secrets Manager may carry `:json-key:stage:version`, which is no part of the resource.
  secret_arns = distinct([
    for arn in values(local.node_secrets) : join(":", slice(split(":", arn), 0, 7)) if strcontains(arn, ":secretsmanager:")
  ])
  parameter_arns = distinct([for arn in values(local.node_secrets) : arn if strcontains(arn, ":ssm:")])
  controller_secret_arns = distinct([
    for arn in concat(local.has_password ? [local.password_arn] : [], local.ca_arns) :
    join(":", slice(split(":", arn), 0, 7))
  ])

  images = concat(
    [local.image],
    var.redis_exporter.enabled ? [var.redis_exporter.image] : [],
    [for container in var.sidecar_containers : container.image],
  )
  # Private repositories of ECR, as ACCOUNT.dkr.ecr.REGION.amazonaws.com/NAME:TAG.
  ecr_images = [
    for image in local.images : regex("^(?P<account>[0-9]{12})\\.dkr\\.ecr\\.(?P<region>[a-z0-9-]+)\\.[^/]+/(?P<name>[^:@]+)", image)
    if can(regex("^[0-9]{12}\\.dkr\\.ecr\\.", image))
  ]

  statements = {
    # Always there, for a policy must say something, and what else it says may depend on an image's name
    # that is not known at plan time.
    execution = concat(
      [{
        Effect   = "Allow"
        Action   = ["logs:CreateLogStream", "logs:PutLogEvents"]
        Resource = ["${local.log_arn_prefix}:${local.task_logs}:*"]
      }],
      length(local.secret_arns) > 0 ? [{
        Effect   = "Allow"
        Action   = ["secretsmanager:GetSecretValue"]
        Resource = local.secret_arns
      }] : [],
      length(local.parameter_arns) > 0 ? [{
        Effect   = "Allow"
        Action   = ["ssm:GetParameters"]
        Resource = local.parameter_arns
      }] : [],
      var.kms_key_arn != null && length(local.node_secrets) > 0 ? [{
        Effect    = "Allow"
        Action    = ["kms:Decrypt"]
        Resource  = [var.kms_key_arn]
        Condition = { StringEquals = { "kms:ViaService" = ["secretsmanager.${local.region}.amazonaws.com", "ssm.${local.region}.amazonaws.com"] } }
      }] : [],
      length(local.ecr_images) > 0 ? [
        {
          # It takes no resource (service authorization reference of ECR).
          Effect   = "Allow"
          Action   = ["ecr:GetAuthorizationToken"]
          Resource = ["*"]
        },
        {
          Effect   = "Allow"
          Action   = ["ecr:BatchCheckLayerAvailability", "ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer"]
          Resource = distinct([for image in local.ecr_images : "arn:${local.partition}:ecr:${image.region}:${image.account}:repository/${image.name}"])
        },
      ] : [],
    )

    task = var.enable_execute_command ? [{
      # ECS Exec's channel; these take no resource.
      Effect = "Allow"
      Action = [
        "ssmmessages:CreateControlChannel",
        "ssmmessages:CreateDataChannel",
        "ssmmessages:OpenControlChannel",
        "ssmmessages:OpenDataChannel",
      ]
      Resource = ["*"]
    }] : []

    initializer = concat(
      [
        {
          # ListTasks takes no service as resource, but the cluster as a condition.
          Effect    = "Allow"
          Action    = ["ecs:ListTasks"]
          Resource  = ["*"]
          Condition = { ArnEquals = { "ecs:cluster" = local.ecs_cluster_arn } }
        },
        {
          Effect    = "Allow"
          Action    = ["ecs:DescribeTasks", "ecs:GetTaskProtection", "ecs:UpdateTaskProtection"]
          Resource  = ["${replace(local.ecs_cluster_arn, ":cluster/", ":task/")}/*"]
          Condition = { ArnEquals = { "ecs:cluster" = local.ecs_cluster_arn } }
        },
        {
          Effect    = "Allow"
          Action    = ["ecs:DescribeServices"]
          Resource  = [local.service_arn]
          Condition = { ArnEquals = { "ecs:cluster" = local.ecs_cluster_arn } }
        },
        {
          # Takes no resource, but both names as conditions.
          Effect   = "Allow"
          Action   = ["servicediscovery:DiscoverInstances"]
          Resource = ["*"]
          Condition = { StringEquals = {
            "servicediscovery:NamespaceName" = local.namespace_name
            "servicediscovery:ServiceName"   = local.discovery_service
          } }
        },
        {
          # TransactWriteItems is allowed by the actions of what is in the transaction.
          Effect   = "Allow"
          Action   = ["dynamodb:ConditionCheckItem", "dynamodb:GetItem", "dynamodb:PutItem", "dynamodb:UpdateItem"]
          Resource = ["arn:${local.partition}:dynamodb:${local.region}:${local.account}:table/${local.table_name}"]
        },
        {
          Effect   = "Allow"
          Action   = ["sqs:SendMessage"]
          Resource = ["arn:${local.partition}:sqs:${local.region}:${local.account}:${local.function_name}-dead-letters"]
        },
        {
          # What Lambda needs to put the function into the VPC (Lambda developer guide). Lambda checks for
          # them before it knows which interface it will be.
          Effect = "Allow"
          Action = [
            "ec2:AssignPrivateIpAddresses",
            "ec2:CreateNetworkInterface",
            "ec2:DeleteNetworkInterface",
            "ec2:DescribeNetworkInterfaces",
            "ec2:DescribeSubnets",
            "ec2:UnassignPrivateIpAddresses",
          ]
          Resource = ["*"]
        },
        {
          # They are Lambda's to use, not the function's code's.
          Effect = "Deny"
          Action = [
            "ec2:AssignPrivateIpAddresses",
            "ec2:CreateNetworkInterface",
            "ec2:DeleteNetworkInterface",
            "ec2:DescribeNetworkInterfaces",
            "ec2:DescribeSubnets",
            "ec2:UnassignPrivateIpAddresses",
          ]
          Resource  = ["*"]
          Condition = { ArnEquals = { "lambda:SourceFunctionArn" = "arn:${local.partition}:lambda:${local.region}:${local.account}:function:${local.function_name}" } }
        },
      ],
      var.enable_cloudwatch_logs ? [{
        Effect   = "Allow"
        Action   = ["logs:CreateLogStream", "logs:PutLogEvents"]
        Resource = ["${local.log_arn_prefix}:${local.controller_logs}:*"]
      }] : [],
      length(local.controller_secret_arns) > 0 ? [{
        Effect   = "Allow"
        Action   = ["secretsmanager:GetSecretValue"]
        Resource = local.controller_secret_arns
      }] : [],
      var.kms_key_arn != null ? [{
        Effect   = "Allow"
        Action   = ["kms:Decrypt", "kms:GenerateDataKey"]
        Resource = [var.kms_key_arn]
        Condition = { StringEquals = { "kms:ViaService" = [
          for service in ["dynamodb", "lambda", "secretsmanager", "sqs"] : "${service}.${local.region}.amazonaws.com"
        ] } }
      }] : [],
    )
  }
}

resource "aws_iam_role" "this" {
  for_each = var.create ? local.roles : {}

  # 38 letters are what a prefix may have.
  name                 = var.use_name_prefix ? null : "${var.cluster_name}-${each.key}"
  name_prefix          = var.use_name_prefix ? "${substr(var.cluster_name, 0, 25)}-${each.key}-" : null
  description          = "${title(each.key)} role of the Redis Cluster ${var.cluster_name}"
  permissions_boundary = var.permissions_boundary
  tags                 = var.tags

  assume_role_policy = jsonencode({
    Version = "2012-10-17"
    Statement = [merge(
      {
        Effect    = "Allow"
        Action    = "sts:AssumeRole"
        Principal = { Service = "${each.value}.amazonaws.com" }
      },
      # For nobody else's tasks. Lambda does not say whose function it is when it takes a role.
      each.value == "ecs-tasks" ? { Condition = { StringEquals = { "aws:SourceAccount" = local.account } } } : {},
    )]
  })
}

resource "aws_iam_role_policy" "this" {
  for_each = { for name, role in aws_iam_role.this : name => role.name if name != "task" || var.enable_execute_command }

  name   = each.key
  role   = each.value
  policy = jsonencode({ Version = "2012-10-17", Statement = local.statements[each.key] })
}
