// Whether the heap is called while bind, listen and setsockopt succeed and fail, told by the
// library `counter` that stands in front of it. Usage: heap PORT
#include <dlfcn.h>
#include "victim.h"

static unsigned long (*heap_calls)(void);
static unsigned long before;

static void start(void) { before = heap_calls(); }
static void stop(const char *what) { printf("%s %lu\n", what, heap_calls() - before); }

int main(int argc, char **argv) {
    if (argc != 2) return 2;
    *(void **)&heap_calls = dlsym(RTLD_DEFAULT, "heap_calls");
    if (heap_calls == NULL) return 3;
    int port = atoi(argv[1]), fd = tcp_socket(), second = tcp_socket(), one = 1;
    static char output[4096];
    setvbuf(stdout, output, _IOFBF, sizeof output);
    start();
    // A compiler may leave out a malloc whose memory is not looked at.
    char *volatile memory = malloc(1);
    free(memory);
    stop("malloc and free");
    start();
    setsockopt(second, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    stop("setsockopt");
    start();
    bind_loopback(fd, port);
    stop("bind");
    start();
    listen(fd, 4);
    stop("listen");
    start();
    bind_loopback(second, port);
    stop("bind to a taken port");
    start();
    bind_loopback(fd, port);
    stop("bind again");
    start();
    bind_loopback(-1, port);
    stop("bind of no descriptor");
    start();
    bind(second, (struct sockaddr *)8, 16);
    stop("bind of a bad pointer");
    return 0;
}
