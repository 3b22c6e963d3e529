network = client.networks.create("front")
attached = {"front": api.create_endpoint_config(links={"mysql": "db"}, aliases=["shop"])}
made = api.create_container("busybox", ["sleep", "600"], networking_config={"EndpointsConfig": attached},
                            host_config={"NetworkMode": "front"})
api.start(made)
reaches = lambda name: api.exec_inspect(ping(name))["ExitCode"] == 0


def ping(name):
    process = api.exec_create(made, ["ping", "-c", "1", "-W", "5", name])
    api.exec_start(process)
    return process


# Nobody needs to have the name when the link is made; who has it later is meant.
client.containers.run("busybox", ["sleep", "600"], name="mysql", network="front", detach=True)
assert reaches("db") and reaches("mysql") and reaches("db.front")
same(api.inspect_container(made)["NetworkSettings"]["Networks"]["front"]["Links"], ["mysql:db"])

# The link is one container's own.
other = client.containers.run("busybox", ["sleep", "600"], network="front", detach=True)
assert other.exec_run(["ping", "-c", "1", "-W", "5", "shop"]).exit_code == 0

back = client.networks.create("back")
back.connect(other)
client.containers.run("busybox", ["sleep", "600"], name="cache", network="back", detach=True)
api.connect_container_to_network(made["Id"], "back", links=[("cache", "redis")])
assert reaches("redis") and reaches("db")
