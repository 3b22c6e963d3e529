unknown = '"foobar": unknown operating system or architecture: invalid argument'
same(refused(docker.errors.APIError, api.pull, "nobody/nothing", platform="foobar"), unknown)
same(refused(docker.errors.APIError, lambda: list(api.build(fileobj=io.BytesIO(b"FROM busybox\n"), platform="foobar"))), unknown)
same(refused(docker.errors.APIError, api.pull, "nobody/nothing", platform="a/b/c/d"),
     '"a/b/c/d": cannot parse platform specifier: invalid argument')

# An answer that has begun can only say in its stream what is wrong.
same(refused(docker.errors.ImageLoadError, client.images.load, b"abc"), "unexpected EOF")

# Nothing said is nothing shown, and a list that was never begun is no list.
network = api.create_network("plain", ipam={"Driver": "default", "Config": [{"Subnet": "172.28.0.0/16"}]})
same(api.inspect_network(network["Id"])["IPAM"]["Options"], None)
container = client.containers.run("busybox", ["sleep", "600"], detach=True)
same(container.diff(), None)

# A process without a terminal has no size, which is no mistake.
container.resize(24, 80)

# Archives may come compressed.
for mode in ["w", "w:gz", "w:bz2", "w:xz"]:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode=mode) as archive:
        entry = tarfile.TarInfo(f"{mode[1:] or 'plain'}.txt")
        entry.size = len(mode)
        archive.addfile(entry, io.BytesIO(mode.encode()))
    assert container.put_archive("/data", packed.getvalue()), mode
    name = entry.name
    same(container.exec_run(["cat", f"/data/{name}"]).output, mode.encode())
