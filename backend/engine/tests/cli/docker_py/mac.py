MAC = "02:42:ac:11:00:0a"
made = api.create_container("busybox", ["sleep", "600"], mac_address=MAC)
same(made["Warnings"], ["The container-wide MacAddress field is now deprecated. It should be specified in EndpointsConfig instead."])
for turn in range(2):
    api.start(made)
    shown = api.inspect_container(made)
    same(shown["NetworkSettings"]["Networks"]["bridge"]["MacAddress"], MAC)
    same(shown["Config"]["MacAddress"], MAC)
    process = api.exec_create(made, ["cat", "/sys/class/net/eth0/address"])
    same(api.exec_start(process).strip().decode(), MAC)
    api.stop(made, timeout=0)
    same(api.inspect_container(made)["NetworkSettings"]["Networks"]["bridge"]["MacAddress"], "")

old = docker.APIClient(base_url=os.environ["DOCKER_HOST"], version="1.43")
same(refused(docker.errors.APIError, old.create_container, "busybox", ["true"], mac_address=MAC,
             host_config={"NetworkMode": "host"}), "conflicting options: mac-address and the network mode")
