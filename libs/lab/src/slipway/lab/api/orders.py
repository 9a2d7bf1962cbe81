"""`/lab/`: ordering faults and counting from another process. Proxmox has no such path; only root may use it.

Every node's API has it, and the control endpoint, which goes on when all of those stand still.
"""

import json

from pydantic import ValidationError

from slipway.lab.access.actors import ROOT_NAME
from slipway.lab.access.tickets import Doorkeeper
from slipway.lab.faults.standing import FAULT
from slipway.lab.host.machine import Machine
from slipway.lab.http.messages import Answer, Request, as_answer, as_refusal
from slipway.lab.problems import Refused, not_permitted

LAB = "/lab/"


class Orders:
    """The control endpoint.

    `/lab/faults`: POST a fault, GET those that stand, DELETE all or one (`?id=`).
    `/lab/remote-processes`: GET how many programs were begun over SSH so far, on all nodes.
    """

    def __init__(self, machine: Machine, doorkeeper: Doorkeeper) -> None:
        self._faults = machine.faults
        self._nodes = machine.neighbours
        self._doorkeeper = doorkeeper

    async def __call__(self, request: Request) -> Answer:
        """Answer a request, whatever it is."""
        try:
            if not request.path.startswith(LAB):
                return Answer(status=404, reason=f"no such file '{request.path}'", body=None)
            return self.answer(request)
        except Refused as refused:
            return as_refusal(refused)

    def answer(self, request: Request) -> Answer:
        """Answer a request below `/lab/`; raise `Refused` if it can't be met."""
        if self._doorkeeper.identify(request).user != ROOT_NAME:
            raise not_permitted("/lab, root@pam")
        match (request.path, request.method):
            case ("/lab/faults", "POST"):
                return as_answer({"id": self._order(request.body)})
            case ("/lab/faults", "GET"):
                standing = self._faults.standing().items()
                return as_answer([{"id": order, **fault.model_dump()} for order, fault in standing])
            case ("/lab/faults", "DELETE"):
                self._faults.clear(request.parameters().get("id"))
                return as_answer(None)
            case ("/lab/remote-processes", "GET"):
                return as_answer(sum(node.remote_processes for node in self._nodes))
            case _:
                raise Refused(f"Method '{request.method} {request.path}' not implemented", status=501)

    def _order(self, body: bytes) -> str:
        try:
            fault = FAULT.validate_json(body)
        except ValidationError as error:
            raise Refused(json.dumps(error.errors(include_url=False), default=str), status=400) from error
        return self._faults.order(fault)
