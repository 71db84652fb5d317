# What to be woken by. What each means, and what to do then, is in docs/operations.md.

variable "alarm_actions" {
  type        = list(string)
  description = "ARNs of what is told of alarms, as of an SNS topic."
  default     = []
}

locals {
  alarms = {
    unserved-slots = {
      metric     = ["RedisFargate", "UnservedSlots"]
      dimensions = { Cluster = "redis-production" }
      comparison = ["GreaterThanThreshold", 0]
      minutes    = 5
      # A run that takes minutes says so at its end.
      missing = "ignore"
    }
    lost-slots = {
      metric     = ["RedisFargate", "LostSlots"]
      dimensions = { Cluster = "redis-production" }
      comparison = ["GreaterThanThreshold", 0]
      minutes    = 1
      missing    = "notBreaching"
    }
    controller-fails = {
      metric     = ["AWS/Lambda", "Errors"]
      dimensions = { FunctionName = module.redis_cluster.controller_function_name }
      comparison = ["GreaterThanThreshold", 0]
      minutes    = 5
      missing    = "notBreaching"
    }
    controller-dead = {
      metric     = ["AWS/Lambda", "Invocations"]
      dimensions = { FunctionName = module.redis_cluster.controller_function_name }
      comparison = ["LessThanThreshold", 1]
      minutes    = 5
      missing    = "breaching"
    }
    dead-letters = {
      metric     = ["AWS/SQS", "ApproximateNumberOfMessagesVisible"]
      dimensions = { QueueName = "${module.redis_cluster.controller_function_name}-dead-letters" }
      comparison = ["GreaterThanThreshold", 0]
      minutes    = 1
      missing    = "notBreaching"
    }
  }
}

resource "aws_cloudwatch_metric_alarm" "redis" {
  for_each = local.alarms

  alarm_name          = "redis-production-${each.key}"
  alarm_description   = "See docs/operations.md, \"What to be woken by\"."
  namespace           = each.value.metric[0]
  metric_name         = each.value.metric[1]
  dimensions          = each.value.dimensions
  statistic           = "Sum"
  comparison_operator = each.value.comparison[0]
  threshold           = each.value.comparison[1]
  period              = 60
  evaluation_periods  = each.value.minutes
  treat_missing_data  = each.value.missing
  alarm_actions       = var.alarm_actions
  ok_actions          = var.alarm_actions
  tags                = { Environment = "production", ManagedBy = "terraform" }

  # There is nothing to watch before.
  depends_on = [module.redis_cluster]
}
