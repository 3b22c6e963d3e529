# docker-py reads the head of an answer through a buffer and drops that with whatever else is in it.
container = client.containers.run("busybox", ["sleep", "600"], detach=True)
BOTH = ["sh", "-c", "echo out; echo err >&2"]
for turn in range(25):
    same(container.exec_run(["echo", "plain"]).output, b"plain\n")
    same(container.exec_run(["echo", "terminal"], tty=True).output, b"terminal\r\n")
    same(container.exec_run(BOTH, demux=True).output, (b"out\n", b"err\n"))
    same(b"".join(container.exec_run(["echo", "streamed"], stream=True).output), b"streamed\n")

# How an answer is framed is said by the request that starts the process, not by the one that made it.
made = api.exec_create(container.id, ["echo", "framed"], tty=True)
same(api.exec_start(made, tty=False, demux=True), (b"framed\r\n", None))

sock = api.exec_start(api.exec_create(container.id, ["echo", "socket"]), socket=True)
same(b"".join(data for _, data in frames_iter(sock, tty=False)), b"socket\n")

# What was said before is replayed whole.
said = client.containers.run("busybox", ["sh", "-c", "seq 1 200"], detach=True)
said.wait()
for turn in range(10):
    same(said.attach(logs=True, stream=False), "".join(f"{n}\n" for n in range(1, 201)).encode())
