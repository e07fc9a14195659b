// Children of a process with threads: at the moment of fork some other thread is in the middle of
// a bind, and whatever lock it holds is held for ever in the child. Usage: fork_threads PORT
#include <pthread.h>
#include <sys/wait.h>
#include "victim.h"

#define THREADS 4
#define CHILDREN 60

static volatile int done;
static int port;

static void *bind_and_bind(void *unused) {
    (void)unused;
    while (!done) {
        int fd = tcp_socket();
        if (bind_loopback(fd, 0) != 0) give_up("bind in a thread");
        close(fd);
        fd = tcp_socket();
        if (bind_loopback(fd, port) == 0) give_up("bind to a taken port");
        close(fd);
    }
    return NULL;
}

static int child(void) {
    alarm(20);
    int fd = tcp_socket(), second = tcp_socket();
    if (bind_loopback(fd, 0) != 0) return 1;
    if (bind_loopback(second, port) != -1 || errno != EADDRINUSE) return 2;
    return listen(fd, 4) == 0 ? 0 : 3;
}

int main(int argc, char **argv) {
    if (argc != 2) return 2;
    port = atoi(argv[1]);
    int listener = tcp_socket();
    if (bind_loopback(listener, port) != 0 || listen(listener, 4) != 0) give_up("bind");
    pthread_t threads[THREADS];
    for (int i = 0; i < THREADS; i++) pthread_create(&threads[i], NULL, bind_and_bind, NULL);
    int bad = 0;
    for (int i = 0; i < CHILDREN; i++) {
        pid_t pid = fork();
        if (pid < 0) give_up("fork");
        if (pid == 0) _exit(child());
        int status;
        waitpid(pid, &status, 0);
        if (status != 0) {
            printf("child %d: %#x\n", i, (unsigned)status);
            bad++;
        }
    }
    done = 1;
    for (int i = 0; i < THREADS; i++) pthread_join(threads[i], NULL);
    printf("bad %d\n", bad);
    return bad != 0;
}
