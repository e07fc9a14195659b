// Many threads, each with the smallest stack that the system allows, begin at one moment to bind,
// to fail to bind, to listen and to set an option. Usage: crowd PORT THREADS ROUNDS
#include <limits.h>
#include <pthread.h>
#include "victim.h"

static pthread_barrier_t start;
static int port, rounds, wrong;

static int round_of_calls(void) {
    int fd = tcp_socket(), one = 1;
    int as_expected = setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one) == 0
        && bind_loopback(fd, port) == -1 && errno == EADDRINUSE
        && bind_loopback(fd, 0) == 0 && listen(fd, 4) == 0
        && bind_loopback(-1, port) == -1 && errno == EBADF;
    close(fd);
    return as_expected;
}

static void *thread(void *unused) {
    pthread_barrier_wait(&start);
    for (int i = 0; i < rounds; i++)
        if (!round_of_calls()) __sync_fetch_and_add(&wrong, 1);
    return unused;
}

int main(int argc, char **argv) {
    if (argc != 4) return 2;
    port = atoi(argv[1]);
    rounds = atoi(argv[3]);
    int count = atoi(argv[2]), holder = tcp_socket();
    if (bind_loopback(holder, port) != 0 || listen(holder, 4) != 0) give_up("bind");
    pthread_attr_t attributes;
    pthread_attr_init(&attributes);
    if (pthread_attr_setstacksize(&attributes, PTHREAD_STACK_MIN) != 0) give_up("stack size");
    pthread_t *threads = calloc((size_t)count, sizeof *threads);
    if (threads == NULL) give_up("calloc");
    pthread_barrier_init(&start, NULL, (unsigned)count);
    for (int i = 0; i < count; i++)
        if (pthread_create(&threads[i], &attributes, thread, NULL) != 0) give_up("pthread_create");
    for (int i = 0; i < count; i++) pthread_join(threads[i], NULL);
    free(threads);
    printf("wrong %d\n", wrong);
    return wrong != 0;
}
