// A program whose own atfork handlers bind: before the fork, and on both sides of it, while another
// thread binds all the time. Usage: own_atfork PORT
#include <pthread.h>
#include <sys/wait.h>
#include "victim.h"

#define CHILDREN 20

static int port, wrong;
static volatile int done;

static void attempt(void) {
    int fd = tcp_socket();
    if (bind_loopback(fd, port) != -1 || errno != EADDRINUSE) __sync_fetch_and_add(&wrong, 1);
    if (bind_loopback(fd, 0) != 0 || listen(fd, 4) != 0) __sync_fetch_and_add(&wrong, 1);
    close(fd);
}

static void *thread(void *unused) {
    while (!done) {
        attempt();
        usleep(300);
    }
    return unused;
}

int main(int argc, char **argv) {
    if (argc != 2) return 2;
    port = atoi(argv[1]);
    int holder = tcp_socket();
    if (bind_loopback(holder, port) != 0 || listen(holder, 4) != 0) give_up("bind");
    pthread_atfork(attempt, attempt, attempt);
    pthread_t other;
    if (pthread_create(&other, NULL, thread, NULL) != 0) give_up("pthread_create");
    int bad = 0;
    for (int i = 0; i < CHILDREN; i++) {
        pid_t child = fork();
        if (child < 0) give_up("fork");
        if (child == 0) {
            alarm(20);
            attempt();
            _exit(wrong != 0);
        }
        int status;
        waitpid(child, &status, 0);
        bad += status != 0;
    }
    done = 1;
    pthread_join(other, NULL);
    printf("wrong %d bad %d\n", wrong, bad);
    return wrong + bad != 0;
}
