// Binds while the process ends: in a handler of atexit, in a destructor of the program, which runs
// after those, and in a thread that goes on through all of it. The library `late` binds later still.
// Usage: at_exit PORT
#include <pthread.h>
#include "victim.h"

static int port;

static void attempt(const char *what) {
    int fd = tcp_socket();
    tell(what, bind_loopback(fd, port));
    tell(what, bind_loopback(fd, 0));
    close(fd);
}

static void on_exit_of_main(void) { attempt("atexit"); }

__attribute__((destructor)) static void at_the_end(void) {
    if (port != 0) attempt("destructor");
}

static void *thread(void *ready) {
    for (int i = 0;; i++) {
        int fd = socket(AF_INET, SOCK_STREAM, 0);
        bind_loopback(fd, i % 2 == 0 ? port : 0);
        close(fd);
        if (i == 10) pthread_barrier_wait(ready);
    }
    return NULL;
}

int main(int argc, char **argv) {
    if (argc != 2) return 2;
    port = atoi(argv[1]);
    int holder = tcp_socket();
    if (bind_loopback(holder, port) != 0 || listen(holder, 4) != 0) give_up("bind");
    atexit(on_exit_of_main);
    static pthread_barrier_t ready;
    pthread_barrier_init(&ready, NULL, 2);
    pthread_t other;
    if (pthread_create(&other, NULL, thread, &ready) != 0) give_up("pthread_create");
    pthread_barrier_wait(&ready);
    return 0;
}
