// Handlers count the signals of writes that fail. None of them is the program's own: it binds under
// a file size limit, with both signals let through and with both blocked, and then with one of its
// own pending, which must stay. Begins after a line on standard input. Usage: write_signals PORT
#include <sys/resource.h>
#include "victim.h"

static volatile sig_atomic_t count;

static void on_signal(int number) {
    (void)number;
    count++;
}

static void attempt(int port, const char *when) {
    int fd = tcp_socket();
    tell(when, bind_loopback(fd, port));
    tell(when, bind_loopback(fd, 0));
    close(fd);
}

static int is_pending(int number) {
    sigset_t pending;
    sigpending(&pending);
    return sigismember(&pending, number);
}

int main(int argc, char **argv) {
    if (argc != 2) return 2;
    int port = atoi(argv[1]), holder = tcp_socket();
    signal(SIGPIPE, on_signal);
    signal(SIGXFSZ, on_signal);
    if (bind_loopback(holder, port) != 0 || listen(holder, 4) != 0) give_up("bind");
    if (getchar() == EOF) give_up("standard input");
    // Enough for what the program says itself.
    struct rlimit limit = {1000, RLIM_INFINITY};
    if (setrlimit(RLIMIT_FSIZE, &limit) != 0) give_up("setrlimit");
    for (int i = 0; i < 3; i++) attempt(port, "let through");
    sigset_t both, before;
    sigemptyset(&both);
    sigaddset(&both, SIGPIPE);
    sigaddset(&both, SIGXFSZ);
    sigprocmask(SIG_BLOCK, &both, &before);
    for (int i = 0; i < 3; i++) attempt(port, "blocked");
    printf("count %d pending %d %d\n", (int)count, is_pending(SIGPIPE), is_pending(SIGXFSZ));
    raise(SIGPIPE);
    attempt(port, "its own");
    printf("pending %d %d\n", is_pending(SIGPIPE), is_pending(SIGXFSZ));
    sigprocmask(SIG_SETMASK, &before, NULL);
    printf("count %d\n", (int)count);
    return 0;
}
