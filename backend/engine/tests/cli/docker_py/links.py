child = client.containers.run(
    "busybox", ["sleep", "600"], name="child", detach=True, hostname="mouse",
    environment={"FOO": "a=b", "HOME": "/nowhere"}, ports={"80": None, "81/tcp": None, "53/udp": None},
)
parent = client.containers.run("busybox", ["sleep", "600"], name="parent", detach=True, links={"child": "my-db"})
child.reload()
ip = child.attrs["NetworkSettings"]["IPAddress"]

env = dict(line.split("=", 1) for line in parent.exec_run(["env"]).output.decode().split("\n") if line)
expected = {
    "MY_DB_NAME": "/parent/my-db",
    "MY_DB_ENV_FOO": "a=b",
    "MY_DB_PORT": f"tcp://{ip}:80",
    "MY_DB_PORT_80_TCP_ADDR": ip,
    "MY_DB_PORT_80_TCP_START": f"tcp://{ip}:80",
    "MY_DB_PORT_80_TCP_PORT_END": "81",
    "MY_DB_PORT_53_UDP": f"udp://{ip}:53",
    "MY_DB_PORT_53_UDP_PROTO": "udp",
}
for name, value in expected.items():
    same(env.get(name), value)
assert "MY_DB_ENV_HOME" not in env, env

hosts = lambda: parent.exec_run(["cat", "/etc/hosts"]).output.decode()
assert f"{ip}\tmy-db mouse child\n" in hosts(), hosts()
same(parent.exec_run(["ping", "-c", "1", "-W", "5", "my-db"]).exit_code, 0)

parent.reload()
same(parent.attrs["HostConfig"]["Links"], ["/child:/parent/my-db"])
names = lambda: {tuple(shown["Names"]) for shown in api.containers(all=True)}
same(names(), {("/parent",), ("/child", "/parent/my-db")})
parent.rename("renamed")
same(names(), {("/renamed",), ("/child", "/renamed/my-db")})

# A child that comes back with another address is found again.
child.stop(timeout=0)
squatter = client.containers.run("busybox", ["sleep", "600"], detach=True)
child.start()
child.reload()
moved = child.attrs["NetworkSettings"]["IPAddress"]
assert moved != ip, moved
assert f"{moved}\tmy-db mouse child\n" in hosts(), hosts()

child.stop(timeout=0)
text = refused(docker.errors.APIError, parent.restart, timeout=0)
same(text, f"Cannot restart container {parent.id}: Cannot link to a non running container: /child AS /renamed/my-db")

create = lambda **host: api.create_container("busybox", ["true"], host_config=host)
same(refused(docker.errors.APIError, create, Links=["nobody:x"]), "could not get container for nobody: No such container: nobody")
same(refused(docker.errors.APIError, create, Links=["a:b:c"]), "bad format for links: a:b:c")
conflict = "conflicting options: host type networking can't be used with links. This would result in undefined behavior"
same(refused(docker.errors.APIError, create, Links=["child:x"], NetworkMode="host"), conflict)

same(refused(docker.errors.APIError, api.remove_container, "renamed", link=True),
     "Conflict, cannot remove the default link name of the container")
api.remove_container("renamed/my-db", link=True)
assert not any(name.endswith("my-db") for known in names() for name in known), names()
parent.start()
parent.reload()
same(parent.attrs["HostConfig"]["Links"], None)
