"""Tasks on a Ray cluster (RAY_ADDRESS). Ray is imported only then: requirements/ray.txt."""

import os
import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import structlog

from shared.errors import DataUnavailable, SettingsError
from shared.execution.executor import (
    ATTEMPTS,
    Common,
    Item,
    Result,
    TaskFailed,
    TaskLimits,
    Watch,
    carry_out,
    told,
)
from shared.host_names import is_loopback

_log = structlog.get_logger()

_LOOK_SECONDS = 1.0
_CONNECT_ATTEMPTS = 3
_ADDRESS = re.compile(r"(?:ray://)?(?P<host>\[[0-9a-fA-F:]+\]|[A-Za-z0-9._-]+):(?P<port>\d{1,5})")
_TLS_FILES = ("RAY_TLS_SERVER_CERT", "RAY_TLS_SERVER_KEY", "RAY_TLS_CA_CERT")


class ClusterUnavailable(DataUnavailable):
    """Raised when the cluster cannot be reached; the run is tried again later."""


def host_of(address: str) -> str:
    """The host of `ray://host:10001` (a client) or `host:6379` (a driver on a node of it).

    Raises:
        ValueError: it is neither.
    """
    found = _ADDRESS.fullmatch(address)
    if found is None:
        raise ValueError("write ray://HOST:10001, or HOST:6379 on a machine of the cluster")
    return found["host"].strip("[]")


def refuse_open_cluster(address: str, environment: Mapping[str, str] = os.environ) -> None:
    """Refuse a cluster that any program on the network can use to run code.

    A cluster of this machine needs the token only.

    Raises:
        SettingsError: names what is missing.
    """
    missing = []
    if environment.get("RAY_AUTH_MODE") != "token":
        missing.append("RAY_AUTH_MODE=token")
    if not (environment.get("RAY_AUTH_TOKEN") or environment.get("RAY_AUTH_TOKEN_PATH")):
        missing.append("RAY_AUTH_TOKEN_PATH (or RAY_AUTH_TOKEN), the token of the cluster")
    if not is_loopback(host_of(address)):
        if environment.get("RAY_USE_TLS") != "1":
            missing.append("RAY_USE_TLS=1")
        missing += [
            f"{name}, a file"
            for name in _TLS_FILES
            if not Path(environment.get(name, "")).is_file()
        ]
    if missing:
        raise SettingsError(
            f"RAY_ADDRESS: {address} takes work only with a token, and beyond this machine only "
            f"over TLS, or any program that reaches it can run code; set {'; '.join(missing)}"
        )


def carry_out_there(
    function: Callable[[Any, Any], Any], common: Any, item: Any, limits: TaskLimits
) -> tuple[str, Any]:
    """One task in a process of a node: the node's address, and the result."""
    import ray  # noqa: PLC0415 - a node has it

    return str(ray.util.get_node_ip_address()), carry_out(function, common, item, limits)


class RayExecutor:
    """Tasks on the cluster; the connection is made by the first of them."""

    def __init__(self, address: str, limits: TaskLimits) -> None:
        refuse_open_cluster(address)
        self._address = address
        self._limits = limits
        self._connected: Any = None

    def map(
        self,
        function: Callable[[Common, Item], Result],
        common: Common,
        items: Sequence[Item],
        *,
        names: Sequence[str],
        watch: Watch,
    ) -> list[Result]:
        """See `Executor.map`. Ray begins a task whose worker dies again on another one."""
        ray = self._ray()
        # retried only when a worker dies; running out of memory is not retried
        task = ray.remote(carry_out_there).options(
            max_retries=ATTEMPTS - 1, retry_exceptions=False, num_cpus=1
        )
        try:
            shared = ray.put(common)
            asked = [task.remote(function, shared, item, self._limits) for item in items]
        except (ConnectionError, ray.exceptions.RayError) as error:
            raise self._away(error) from error
        try:
            found = self._gather(ray, asked, list(names), watch)
        except BaseException:
            _cancel(ray, asked)
            raise
        nodes = dict(Counter(node for node, _result in found))
        _log.info("tasks_on_ray", tasks=len(found), first=names[0] if names else "", nodes=nodes)
        return [result for _node, result in found]

    def _gather(self, ray: Any, asked: list[Any], names: list[str], watch: Watch) -> list[Any]:
        results: dict[int, Any] = {}
        place = {reference: at for at, reference in enumerate(asked)}
        pending = list(asked)
        while pending:
            watch(len(results))
            try:
                ready, pending = ray.wait(pending, num_returns=1, timeout=_LOOK_SECONDS)
            except (ConnectionError, ray.exceptions.RayError) as error:
                raise self._away(error) from error
            for reference in ready:
                results[place[reference]] = self._result(ray, reference, names[place[reference]])
        return [results[at] for at in range(len(asked))]

    def _result(self, ray: Any, reference: Any, name: str) -> Any:
        """Raises TaskFailed: says which item, and why."""
        try:
            return ray.get(reference)
        except ray.exceptions.RayTaskError as error:
            cause = getattr(error, "cause", None) or error
            raise TaskFailed(told(name, cause)) from error
        except ray.exceptions.RayError as error:
            raise TaskFailed(told(name, error)) from error
        except ConnectionError as error:
            raise self._away(error) from error

    def _ray(self) -> Any:
        if self._connected is None:
            # Ray sends usage statistics unless this is set before its import
            os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
            try:
                import ray  # noqa: PLC0415
            except ImportError as error:
                remedy = "pip install -r requirements/ray.txt"
                raise SettingsError(f"RAY_ADDRESS: Ray is not installed; {remedy}") from error
            self._connect(ray)
            self._connected = ray
        return self._connected

    def _connect(self, ray: Any) -> None:
        """A head that has just started may take longer over its first caller than Ray waits."""
        for attempt in range(1, _CONNECT_ATTEMPTS + 1):
            try:
                ray.init(address=self._address, log_to_driver=False, logging_level="warning")
            except (ConnectionError, RuntimeError, ray.exceptions.RayError) as error:
                if attempt == _CONNECT_ATTEMPTS:
                    raise self._away(error) from error
            else:
                return

    def _away(self, error: Exception) -> ClusterUnavailable:
        return ClusterUnavailable(told(f"the Ray cluster at {self._address}", error))

    def close(self) -> None:
        """Leave the cluster: tasks that still run there end."""
        if self._connected is not None:
            self._connected.shutdown()
            self._connected = None


def _cancel(ray: Any, asked: list[Any]) -> None:
    for reference in asked:
        try:
            ray.cancel(reference, force=True)
        except Exception:  # noqa: BLE001 - the cluster may be what failed
            return
