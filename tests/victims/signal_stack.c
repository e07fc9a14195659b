// A signal handler on an alternate stack of 8 KiB binds, fails to bind, and returns, while the
// program is in malloc most of the time: the handler must need neither the heap's locks nor much
// stack. Usage: signal_stack PORT
#include <sys/time.h>
#include "victim.h"

#define ROUNDS 200

static volatile sig_atomic_t rounds, wrong;
static int port, sockets[2];

static void on_alarm(int number) {
    (void)number;
    int error = errno;
    if (rounds >= ROUNDS) return;
    int free_one = socket(AF_INET, SOCK_STREAM, 0);
    if (bind_loopback(free_one, 0) != 0) wrong++;
    close(free_one);
    if (bind_loopback(sockets[1], port) != -1 || errno != EADDRINUSE) wrong++;
    rounds++;
    errno = error;
}

int main(int argc, char **argv) {
    if (argc != 2) return 2;
    port = atoi(argv[1]);
    sockets[0] = tcp_socket();
    sockets[1] = tcp_socket();
    if (bind_loopback(sockets[0], port) != 0 || listen(sockets[0], 4) != 0) give_up("bind");
    handle_on_small_stack(SIGALRM, on_alarm);
    struct itimerval timer = {{0, 500}, {0, 500}};
    setitimer(ITIMER_REAL, &timer, NULL);
    void *kept[64] = {0};
    for (unsigned turn = 0; rounds < ROUNDS; turn++) {
        free(kept[turn % 64]);
        kept[turn % 64] = malloc(16 + turn * 37 % 5000);
    }
    printf("wrong %d\n", (int)wrong);
    return wrong != 0;
}
