// A server whose first thread has ended: another one has the socket. Usage: leader PORT
#include <pthread.h>
#include "victim.h"

static int port;

static void *serve(void *unused) {
    (void)unused;
    int fd = tcp_socket();
    if (tell("bind", bind_loopback(fd, port)) != 0 || tell("listen", listen(fd, 4)) != 0) exit(1);
    for (;;) pause();
}

int main(int argc, char **argv) {
    if (argc != 2) return 2;
    port = atoi(argv[1]);
    pthread_t thread;
    if (pthread_create(&thread, NULL, serve, NULL) != 0) give_up("pthread_create");
    pthread_exit(NULL);
}
