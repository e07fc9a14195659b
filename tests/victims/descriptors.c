// The numbers of the descriptors that a program gets: the lowest free one each time, whatever was
// looked up in between. Usage: descriptors PORT
#include <fcntl.h>
#include "victim.h"

static void open_another(void) { printf("fd %d\n", open("/dev/null", O_RDONLY)); }

int main(int argc, char **argv) {
    if (argc != 2) return 2;
    int port = atoi(argv[1]), fd = tcp_socket(), second = tcp_socket();
    printf("sockets %d %d\n", fd, second);
    tell("bind", bind_loopback(fd, port));
    open_another();
    tell("listen", listen(fd, 4));
    open_another();
    tell("bind", bind_loopback(second, port));
    open_another();
    tell("bind", bind_loopback(-1, port));
    open_another();
    close(second);
    open_another();
    tell("bind", bind_loopback(fd, port));
    open_another();
    return 0;
}
