// Binds a port of 127.0.0.1 and listens, and binds the same socket once more, which fails: calls that
// socket_wrapper takes over. Usage: socket_wrapped PORT
#include "victim.h"

int main(int argc, char **argv) {
    if (argc != 2) return 2;
    int port = atoi(argv[1]), fd = tcp_socket();
    tell("bind", bind_loopback(fd, port));
    tell("listen", listen(fd, 4));
    tell("bind", bind_loopback(fd, port));
    return 0;
}
