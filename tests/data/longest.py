"""Starts programs with a cleared environment and the longest arguments that the kernel takes."""

import os
import resource


def words(size):
    return ["x" * 65536] * (size >> 16) + ["x" * (size & 65535)]


def spawn(size, actions=()):
    try:
        pid = os.posix_spawn("/bin/true", words(size), {}, file_actions=actions)
    except OSError as error:
        return error.errno
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def execute(size):
    pid = os.fork()
    if pid == 0:
        try:
            os.execve("/bin/true", words(size), {})
        except OSError as error:
            os._exit(error.errno)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def shell(size):
    return os.waitstatus_to_exitcode(os.system(": " + "x" * size))


def create_and_spawn(size):
    if os.path.exists("fresh"):
        os.remove("fresh")
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL
    return spawn(size, [(os.POSIX_SPAWN_OPEN, 9, "fresh", flags, 0o600)])


def longest(start):
    most, too_many = 0, 1 << 23
    while most + 1 < too_many:
        size = (most + too_many) // 2
        if start(size) == 0:
            most = size
        else:
            too_many = size
    return most


for start in spawn, execute, create_and_spawn:
    most = longest(start)
    print(start.__name__, most, [start(most + more) for more in (-9000, -100, 0, 1, 1000)])

os.environ.clear()
# The least that the kernel takes, which one string alone does not fill.
resource.setrlimit(resource.RLIMIT_STACK, (256 << 10, resource.RLIM_INFINITY))
most = longest(shell)
print("shell", most, [shell(most + more) for more in (-9000, -100, 0, 1, 1000)])
