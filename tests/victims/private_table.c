// A thread with a descriptor table of its own listens: its socket is in /proc/PID/task/TID/fd and
// not in /proc/PID/fd. Usage: private_table PORT
#include <pthread.h>
#include <sched.h>
#include "victim.h"

static void *thread(void *port) {
    if (unshare(CLONE_FILES) != 0) give_up("unshare");
    int fd = tcp_socket();
    if (tell("bind", bind_loopback(fd, atoi(port))) != 0) exit(1);
    if (tell("listen", listen(fd, 4)) != 0) exit(1);
    puts("holding");
    fflush(stdout);
    pause();
    return NULL;
}

int main(int argc, char **argv) {
    if (argc != 2) return 2;
    pthread_t started;
    if (pthread_create(&started, NULL, thread, argv[1]) != 0) give_up("pthread_create");
    pthread_join(started, NULL);
    return 0;
}
