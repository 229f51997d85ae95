"""What systemd does for the agent's sockets, without a PID 1: it holds those of socket units, and keeps those that the
agent puts into its store."""
import array
import fcntl
import os
import socket
import subprocess
import threading

_FIRST = 50  # descriptors that bash redirects from here do not meet those that it redirects to


def listening(path, mode, pass_credentials=True):
    """As a socket unit makes it."""
    made = socket.socket(socket.AF_UNIX)
    if pass_credentials:
        made.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
    made.bind(str(path))
    path.chmod(mode)
    made.listen(4096)
    return made


def launch(argv, log, sockets, env=None):
    """A process that is passed `sockets`: name -> socket or descriptor."""
    held = [fcntl.fcntl(one, fcntl.F_DUPFD, _FIRST) for one in sockets.values()]
    redirect = " ".join(f"{3 + i}<&{fd} {fd}<&-" for i, fd in enumerate(held))
    variables = f"LISTEN_PID=$$ LISTEN_FDS={len(held)} LISTEN_FDNAMES={':'.join(sockets)}" if held else ""
    script = f'exec env {variables} "$@" {redirect}'
    try:
        with open(log, "ab") as out:
            return subprocess.Popen(["bash", "-c", script, "bash", *map(str, argv)], stdin=subprocess.DEVNULL,
                                    stdout=out, stderr=out, pass_fds=held, env={**os.environ, **(env or {})})
    finally:
        for fd in held:
            os.close(fd)


class Notified:
    """The socket that NOTIFY_SOCKET names, with a store of descriptors: name -> descriptor."""

    def __init__(self, path):
        self.path = path
        self.store = {}
        self.messages = []
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(str(path))
        self._socket.settimeout(0.1)
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._receive)
        self._thread.start()

    def _receive(self):
        while not self._ending.is_set():
            try:
                text, ancillary, _, _ = self._socket.recvmsg(4096, socket.CMSG_SPACE(4 * 4))
            except TimeoutError:
                continue
            self._take(dict(line.split("=", 1) for line in text.decode().splitlines()), ancillary)

    def _take(self, message, ancillary):
        fds = array.array("i")
        for _, _, data in ancillary:
            fds.frombytes(data)
        name = message.get("FDNAME")
        if message.get("FDSTOREREMOVE") == "1" and name in self.store:
            os.close(self.store.pop(name))
        if message.get("FDSTORE") == "1":
            (self.store[name],) = fds
        self.messages.append(message)

    def close(self):
        self._ending.set()
        self._thread.join()
        self._socket.close()
        for fd in self.store.values():
            os.close(fd)
