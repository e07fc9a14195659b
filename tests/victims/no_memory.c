// A program that may have no more memory: its address space is limited to what it has. It binds,
// fails to bind and listens. Usage: no_memory PORT
#include <sys/mman.h>
#include <sys/resource.h>
#include "victim.h"

int main(int argc, char **argv) {
    if (argc != 2) return 2;
    int port = atoi(argv[1]), holder = tcp_socket(), second = tcp_socket();
    tell("bind", bind_loopback(holder, port));
    tell("listen", listen(holder, 4));
    struct rlimit limit = {4096, 4096};
    if (setrlimit(RLIMIT_AS, &limit) != 0) give_up("setrlimit");
    if (mmap(NULL, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) != MAP_FAILED) return 3;
    tell("bind", bind_loopback(second, port));
    tell("bind", bind_loopback(-1, port));
    tell("bind", bind_loopback(second, 0));
    tell("listen", listen(second, 4));
    return 0;
}
