container = client.containers.run(
    "busybox", ["sh", "-c", "exit 3"], detach=True, restart_policy={"Name": "always"}
)
# Between two starts it counts as running; a wait is for the end of the process all the same.
same(container.wait(timeout=60)["StatusCode"], 3)
assert "stop the container before removing" in refused(docker.errors.APIError, container.remove)
container.remove(force=True)
