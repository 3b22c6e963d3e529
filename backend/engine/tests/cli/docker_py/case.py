# docker-py says `detachKeys` where the API's field is `DetachKeys`; Go takes either.
api._general_configs["detachKeys"] = "ctrl-x"
container = client.containers.run("busybox", ["cat"], stdin_open=True, detach=True)
made = api.exec_create(container.id, ["cat"], stdin=True, tty=True)
sock = api.exec_start(made, tty=True, socket=True)
raw = getattr(sock, "_sock", sock)
raw.settimeout(60)
raw.sendall(b"\x18")
# Left: the stream ends although the process goes on.
while raw.recv(4096):
    pass
assert api.exec_inspect(made)["Running"]

answer = api._post_json(
    api._url("/containers/create"),
    data={"image": "busybox", "CMD": ["true"], "hostconfig": {"memory": 64 << 20, "BINDS": None}, "labels": {"Case": "Kept"}},
)
shown = api.inspect_container(api._result(answer, True)["Id"])
same(shown["Config"]["Cmd"], ["true"])
same(shown["Config"]["Labels"], {"Case": "Kept"})
same(shown["HostConfig"]["Memory"], 64 << 20)

# A body must be JSON, and say so.
for body, kind, text in [
    ("{", "application/json", "invalid JSON: unexpected EOF"),
    ("{}{}", "application/json", "unexpected content after JSON"),
    ("{}", "text/plain", "unsupported Content-Type header (text/plain): must be 'application/json'"),
]:
    answer = api.post(api._url("/networks/create"), data=body, headers={"Content-Type": kind})
    same((answer.status_code, answer.json()["message"]), (400, text))
