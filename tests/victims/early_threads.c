// A library whose constructor starts threads that bind at once: they may meet ours in the middle of
// its start, or start it themselves, all together. EARLY_PORT is a port that is taken.
#include <pthread.h>
#include "victim.h"

#define THREADS 8

static pthread_barrier_t start;
static int port, wrong;

static void *thread(void *unused) {
    pthread_barrier_wait(&start);
    int fd = tcp_socket();
    if (bind_loopback(fd, port) != -1 || errno != EADDRINUSE) __sync_fetch_and_add(&wrong, 1);
    if (bind_loopback(fd, 0) != 0) __sync_fetch_and_add(&wrong, 1);
    close(fd);
    return unused;
}

__attribute__((constructor)) static void early(void) {
    const char *number = getenv("EARLY_PORT");
    if (number == NULL) return;
    port = atoi(number);
    pthread_t threads[THREADS];
    pthread_barrier_init(&start, NULL, THREADS);
    for (int i = 0; i < THREADS; i++)
        if (pthread_create(&threads[i], NULL, thread, NULL) != 0) give_up("pthread_create");
    for (int i = 0; i < THREADS; i++) pthread_join(threads[i], NULL);
    printf("early wrong %d\n", wrong);
    fflush(stdout);
}
