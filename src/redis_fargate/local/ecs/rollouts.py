"""How far a service's deployments are, and what its log says of it."""

from redis_fargate.local.ecs.arns import new_number, new_uuid
from redis_fargate.local.ecs.events import Events, ServiceAction
from redis_fargate.local.ecs.model import (
    Definition,
    Deployment,
    Json,
    Placement,
    Rollout,
    Service,
    ServiceEvent,
    now,
)
from redis_fargate.local.ecs.scheduler import breaker_threshold


class Rollouts:
    """Begins, completes, fails and rolls back deployments."""

    def __init__(self, events: Events) -> None:
        self._events = events

    def begin(self, service: Service, definition: Definition, placement: Placement) -> None:
        """Begin a deployment: from now on new tasks are of this definition and placement."""
        at = now()
        deployment = Deployment(
            id=f"ecs-svc/{new_number()}",
            definition=definition,
            placement=placement,
            desired=service.desired,
            created_at=at,
            updated_at=at,
            predecessor=service.deployments[0] if service.deployments else None,
        )
        service.deployments.insert(0, deployment)
        service.history.append(deployment)
        service.young_deaths = 0
        service.start_not_before = 0
        self._set_rollout(
            service, deployment, Rollout.IN_PROGRESS, f"ECS deployment {deployment.id} in progress."
        )

    def judge(self, service: Service, *, live: int, healthy: int) -> None:
        """Complete the deployment, and say so, once only its tasks are left and all serve."""
        primary = service.primary
        settled = (
            len(service.deployments) == 1
            and primary.rollout is not Rollout.FAILED
            and live == healthy == service.desired
        )
        if not settled:
            service.steady = False
            return
        if primary.rollout is Rollout.IN_PROGRESS:
            primary.finished_at = now()
            service.last_completed = primary
            self.log(
                service,
                f"(service {service.name}) (deployment {primary.id}) deployment completed.",
            )
            reason = f"ECS deployment {primary.id} completed."
            self._set_rollout(service, primary, Rollout.COMPLETED, reason)
        if not service.steady:
            service.steady = True
            service.complaint = ""
            self.log(service, f"(service {service.name}) has reached a steady state.")
            self._events.service_action(service, ServiceAction.STEADY_STATE)

    def break_circuit(self, service: Service, deployment: Deployment) -> None:
        """Fail the deployment if too many of its tasks failed; and roll back if that is wanted."""
        breaker = breaker_of(service)
        threshold = threshold_of(service)
        if (
            not breaker.get("enable")
            or deployment is not service.primary
            or deployment.rollout is not Rollout.IN_PROGRESS
            or deployment.failed_tasks < threshold
        ):
            return
        name = f"(service {service.name})"
        self.log(
            service,
            f"{name} (deployment {deployment.id}) deployment failed: tasks failed to start.",
        )
        deployment.finished_at = now()
        reason = "ECS deployment circuit breaker: tasks failed to start."
        self._set_rollout(service, deployment, Rollout.FAILED, reason)
        good = service.last_completed
        if not breaker.get("rollback") or good is None or good is deployment:
            return
        deployment.rolled_back_at = now()
        if good in service.deployments:
            service.deployments.remove(good)
        service.deployments.insert(0, good)
        service.young_deaths = 0
        service.start_not_before = 0
        self.log(service, f"{name} rolling back to deployment {good.id}.")
        reason = f"ECS deployment circuit breaker: rolling back to deploymentId {good.id}."
        self._set_rollout(service, good, Rollout.IN_PROGRESS, reason)

    def _set_rollout(
        self, service: Service, deployment: Deployment, rollout: Rollout, reason: str
    ) -> None:
        deployment.rollout = rollout
        deployment.reason = reason
        deployment.updated_at = now()
        service.steady = False
        self._events.deployment_changed(service, deployment)

    def complain(
        self, service: Service, complaint: str, action: ServiceAction | None = None
    ) -> None:
        """Write what is wrong with a service, once for as long as it is so."""
        if service.complaint == complaint:
            return
        service.complaint = complaint
        self.log(service, f"(service {service.name}) {complaint}")
        if action is not None:
            self._events.service_action(service, action)

    def log(self, service: Service, message: str) -> None:
        """Write a line into the service's events."""
        service.events.appendleft(ServiceEvent(new_uuid(), now(), message))


def threshold_of(service: Service) -> int:
    """Tell how many failed tasks trip the service's circuit breaker."""
    threshold = breaker_of(service).get("thresholdConfiguration", {})
    return breaker_threshold(
        service.desired, threshold.get("type", "BOUNDED_PERCENT"), threshold.get("value", 50)
    )


def breaker_of(service: Service) -> Json:
    """Find the service's deployment circuit breaker; empty if it has none."""
    breaker: Json = service.settings["deploymentConfiguration"].get("deploymentCircuitBreaker", {})
    return breaker
