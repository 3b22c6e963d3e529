from docker.types import ContainerSpec, EndpointSpec, Healthcheck, TaskTemplate

api.init_swarm(advertise_addr="127.0.0.1")


def template(force_update=0):
    check = Healthcheck(test="true", interval=500_000_000, retries=3)
    return TaskTemplate(ContainerSpec("busybox", ["sleep", "1000"], healthcheck=check), force_update=force_update)


# What was read a moment after it was made can be updated: nothing else changes its version meanwhile.
for number in range(10):
    name = f"made{number}"
    api.create_service(template(), name=name, endpoint_spec=EndpointSpec(ports={30100 + number: 80}))
    seen = api.inspect_service(name)
    same(seen["Endpoint"]["Ports"][0]["PublishedPort"], 30100 + number)
    api.update_service(name, seen["Version"]["Index"], template(10), name=name, fetch_current_spec=True)
    updated = api.inspect_service(name)
    assert updated["Version"]["Index"] > seen["Version"]["Index"]
    same(updated["Spec"]["TaskTemplate"]["ForceUpdate"], 10)
    same(updated["Spec"]["TaskTemplate"]["ContainerSpec"]["Healthcheck"]["Retries"], 3)
    assert "Healthcheck" in updated["PreviousSpec"]["TaskTemplate"]["ContainerSpec"]
assert all("Healthcheck" in task["Spec"]["ContainerSpec"] for task in api.tasks({"service": "made0"}))

stale = seen["Version"]["Index"] - 1
said = refused(docker.errors.APIError, api.update_service, "made9", stale, template(11), name="made9")
same(said, "rpc error: code = Unknown desc = update out of sequence")
try:
    api.leave_swarm()
    raise AssertionError("the last manager left")
except docker.errors.APIError as error:
    same(error.response.status_code, 503)
for number in range(10):
    api.remove_service(f"made{number}")
assert api.leave_swarm(force=True)
