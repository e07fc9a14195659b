// Threads with the smallest stack that the system allows. Usage: small_stack PORT
#include <limits.h>
#include <pthread.h>
#include "victim.h"

static int port;

static void *thread(void *unused) {
    (void)unused;
    int fd = tcp_socket(), second = tcp_socket();
    tell("bind", bind_loopback(fd, port));
    tell("listen", listen(fd, 4));
    tell("bind", bind_loopback(second, port));
    return NULL;
}

int main(int argc, char **argv) {
    if (argc != 2) return 2;
    port = atoi(argv[1]);
    pthread_attr_t attributes;
    pthread_attr_init(&attributes);
    if (pthread_attr_setstacksize(&attributes, PTHREAD_STACK_MIN) != 0) give_up("stack size");
    pthread_t started;
    if (pthread_create(&started, &attributes, thread, NULL) != 0) give_up("pthread_create");
    pthread_join(started, NULL);
    return 0;
}
