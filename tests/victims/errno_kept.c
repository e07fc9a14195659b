// errno belongs to the program: a call that succeeds leaves it alone (libuv once read it after
// `errno = 0; bind()`), and one that fails sets it to the kernel's answer. Usage: errno_kept PORT
#include "victim.h"

#define UNTOUCHED 4242

static void say(const char *call, int result) {
    int seen = errno;
    printf("%s %d errno %d\n", call, result, seen);
}

int main(int argc, char **argv) {
    if (argc != 2) return 2;
    int port = atoi(argv[1]), fd = tcp_socket(), second = tcp_socket(), one = 1;
    errno = UNTOUCHED;
    say("setsockopt", setsockopt(second, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one));
    errno = UNTOUCHED;
    say("setsockopt", setsockopt(second, SOL_SOCKET, SO_KEEPALIVE, &one, sizeof one));
    errno = UNTOUCHED;
    say("bind", bind_loopback(fd, port));
    errno = UNTOUCHED;
    say("listen", listen(fd, 4));
    errno = UNTOUCHED;
    say("bind", bind_loopback(second, port));
    errno = UNTOUCHED;
    say("bind", bind_loopback(fd, port));
    errno = UNTOUCHED;
    say("bind", bind_loopback(-1, port));
    errno = UNTOUCHED;
    say("listen", listen(-1, 4));
    errno = UNTOUCHED;
    say("setsockopt", setsockopt(-1, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one));
    return 0;
}
