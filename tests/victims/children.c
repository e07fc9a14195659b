// Threads bind in a loop while the program starts other programs by fork and exec with binds
// between them, by vfork and exec with a bind between them, by posix_spawn and by system.
// Usage: children PORT PROGRAM   PROGRAM is started as: PROGRAM tcp4 bind 127.0.0.1 0
#include <pthread.h>
#include <spawn.h>
#include <sys/wait.h>
#include "victim.h"

#define THREADS 4
#define ROUNDS 15

extern char **environ;

static int port, wrong;
static volatile int done;
static char *arguments[] = {NULL, "tcp4", "bind", "127.0.0.1", "0", NULL};

// Nothing but system calls.
static int attempt(void) {
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    int as_expected = bind_loopback(fd, port) == -1 && errno == EADDRINUSE
        && bind_loopback(fd, 0) == 0 && listen(fd, 4) == 0;
    close(fd);
    return as_expected;
}

static void *thread(void *unused) {
    while (!done) {
        if (!attempt()) __sync_fetch_and_add(&wrong, 1);
        usleep(300);
    }
    return unused;
}

static void start(void) {
    if (!attempt()) _exit(90);
    execv(arguments[0], arguments);
    _exit(91);
}

static pid_t forked(void) {
    pid_t child = fork();
    if (child == 0) start();
    return child;
}

static pid_t vforked(void) {
    pid_t child = vfork();
    if (child == 0) start();
    return child;
}

static pid_t spawned(void) {
    pid_t child = -1;
    return posix_spawn(&child, arguments[0], NULL, NULL, arguments, environ) == 0 ? child : -1;
}

static int bad(pid_t child) {
    int status = -1;
    return child <= 0 || waitpid(child, &status, 0) != child || status != 0;
}

int main(int argc, char **argv) {
    if (argc != 3) return 2;
    port = atoi(argv[1]);
    arguments[0] = argv[2];
    char command[1024];
    snprintf(command, sizeof command, "%s tcp4 bind 127.0.0.1 0", argv[2]);
    int holder = tcp_socket(), failed = 0;
    if (bind_loopback(holder, port) != 0 || listen(holder, 4) != 0) give_up("bind");
    pthread_t threads[THREADS];
    for (int i = 0; i < THREADS; i++)
        if (pthread_create(&threads[i], NULL, thread, NULL) != 0) give_up("pthread_create");
    for (int i = 0; i < ROUNDS; i++)
        failed += bad(forked()) + bad(vforked()) + bad(spawned()) + (system(command) != 0);
    done = 1;
    for (int i = 0; i < THREADS; i++) pthread_join(threads[i], NULL);
    printf("wrong %d failed %d\n", wrong, failed);
    return wrong + failed != 0;
}
