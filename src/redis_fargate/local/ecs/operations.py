"""Which operations the local ECS carries out."""

from collections.abc import Mapping

from redis_fargate.local.ecs import (
    accounts,
    clusters,
    definitions,
    deployments,
    protection,
    services,
    tags,
    tasks,
)
from redis_fargate.local.ecs.context import Operation

OPERATIONS: Mapping[str, Operation] = {
    "CreateCluster": clusters.create_cluster,
    "CreateService": services.create_service,
    "DeleteCluster": clusters.delete_cluster,
    "DeleteService": services.delete_service,
    "DeleteTaskDefinitions": definitions.delete_task_definitions,
    "DeregisterTaskDefinition": definitions.deregister_task_definition,
    "DescribeCapacityProviders": clusters.describe_capacity_providers,
    "DescribeClusters": clusters.describe_clusters,
    "DescribeServiceDeployments": deployments.describe_service_deployments,
    "DescribeServiceRevisions": deployments.describe_service_revisions,
    "DescribeServices": services.describe_services,
    "DescribeTaskDefinition": definitions.describe_task_definition,
    "DescribeTasks": tasks.describe_tasks,
    "GetTaskProtection": protection.get_task_protection,
    "ListAccountSettings": accounts.list_account_settings,
    "ListClusters": clusters.list_clusters,
    "ListServiceDeployments": deployments.list_service_deployments,
    "ListServices": services.list_services,
    "ListTagsForResource": tags.list_tags_for_resource,
    "ListTaskDefinitionFamilies": definitions.list_task_definition_families,
    "ListTaskDefinitions": definitions.list_task_definitions,
    "ListTasks": tasks.list_tasks,
    "PutAccountSetting": accounts.put_account_setting,
    "PutAccountSettingDefault": accounts.put_account_setting,
    "PutClusterCapacityProviders": clusters.put_cluster_capacity_providers,
    "RegisterTaskDefinition": definitions.register_task_definition,
    "RunTask": tasks.run_task,
    "StopTask": tasks.stop_task,
    "TagResource": tags.tag_resource,
    "UntagResource": tags.untag_resource,
    "UpdateCluster": clusters.update_cluster,
    "UpdateClusterSettings": clusters.update_cluster,
    "UpdateService": services.update_service,
    "UpdateTaskProtection": protection.update_task_protection,
}
