# Every example applies, and makes what it is there to show.

provider "aws" {
  region = "us-east-1"
}

run "quickstart" {
  state_key = "quickstart"

  module {
    source = "./examples/quickstart"
  }

  assert {
    condition     = output.redis_connection_string == "redis://redis-cluster.local:6379"
    error_message = "The example makes something else."
  }
}

run "production" {
  state_key = "production"

  module {
    source = "./examples/production"
  }

  assert {
    condition     = output.redis_connection_string == "redis://redis-cluster.production.internal:6379" && strcontains(output.commands.cluster_info, "REDISCLI_AUTH")
    error_message = "The example makes something else."
  }
}

run "multi_environment" {
  state_key = "multi-environment"

  module {
    source = "./examples/multi-environment"
  }

  assert {
    condition     = output.redis_connection_strings == { for name in ["dev", "staging", "production"] : name => "redis://${name}.redis.internal:6379" }
    error_message = "The example makes something else."
  }
}

run "high_memory" {
  state_key = "high-memory"

  module {
    source = "./examples/high-memory"
  }

  assert {
    condition     = output.redis_connection_string == "redis://redis-high-memory.local:6379"
    error_message = "The example makes something else."
  }
}

run "tls" {
  state_key = "tls"

  module {
    source = "./examples/tls"
  }

  variables {
    certificates = "{}"
  }

  assert {
    condition     = output.redis_connection_string == "rediss://redis-cluster.local:6379"
    error_message = "The example makes something else."
  }
}

run "spot" {
  state_key = "spot"

  module {
    source = "./examples/spot"
  }

  assert {
    condition     = output.redis_connection_string == "redis://redis-cluster.local:6379"
    error_message = "The example makes something else."
  }
}

run "existing_infrastructure" {
  state_key = "existing-infrastructure"

  module {
    source = "./examples/existing-infrastructure"
  }

  assert {
    condition     = output.redis_connection_string == "redis://redis.internal.example.com:6379" && strcontains(output.commands.service_state, "--cluster main ")
    error_message = "The example makes something else."
  }
}

run "no_internet" {
  state_key = "no-internet"

  module {
    source = "./examples/no-internet"
  }

  assert {
    condition     = output.repository_url != null
    error_message = "The example makes something else."
  }
}

