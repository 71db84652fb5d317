# Everything that the module is given is only known after it was created, in the same apply.

resource "aws_secretsmanager_secret" "p" {
  name = "p"
}

resource "aws_secretsmanager_secret" "q" {
  name = "q"
}

resource "aws_kms_key" "k" {}

resource "aws_ecr_repository" "x" {
  name = "redis"
}

resource "aws_security_group" "c" {
  vpc_id = aws_vpc.x.id
}

resource "aws_vpc" "x" {
  cidr_block = "10.0.0.0/16"
}

resource "aws_subnet" "s" {
  count             = 3
  vpc_id            = aws_vpc.x.id
  availability_zone = "us-east-1${["a", "b", "c"][count.index]}"
}

resource "aws_ecs_cluster" "e" {
  name = "e"
}

module "redis" {
  source                     = "../../.."
  cluster_name               = "redis"
  vpc_id                     = aws_vpc.x.id
  private_subnet_ids         = aws_subnet.s[*].id
  auth                       = { password_secret_arn = aws_secretsmanager_secret.p.arn }
  tls                        = { secret_arn = aws_secretsmanager_secret.q.arn }
  secrets                    = { A = aws_secretsmanager_secret.q.arn }
  allowed_cidr_blocks        = [aws_vpc.x.cidr_block]
  allowed_security_group_ids = [aws_security_group.c.id]
  kms_key_arn                = aws_kms_key.k.arn
  cloudwatch_kms_key_id      = aws_kms_key.k.arn
  existing_ecs_cluster       = { arn = aws_ecs_cluster.e.arn }
  redis_image                = "${aws_ecr_repository.x.repository_url}:7.2"
}
