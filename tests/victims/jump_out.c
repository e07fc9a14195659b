// A signal handler leaves a failing bind by siglongjmp, again and again; then nothing may be left
// of these calls: no descriptor, no mapping, no blocked signal. Usage: jump_out PORT
#include <dirent.h>
#include <setjmp.h>
#include <signal.h>
#include <sys/time.h>
#include "victim.h"

#define JUMPS 300

static sigjmp_buf outside;
static volatile sig_atomic_t jumps, armed;

static void on_alarm(int number) {
    (void)number;
    if (!armed) return;
    jumps++;
    siglongjmp(outside, 1);
}

static int descriptors(void) {
    int count = 0;
    DIR *all = opendir("/proc/self/fd");
    while (readdir(all) != NULL) count++;
    closedir(all);
    return count;
}

static int mappings(void) {
    int count = 0, byte;
    FILE *all = fopen("/proc/self/maps", "r");
    while ((byte = getc(all)) != EOF) count += byte == '\n';
    fclose(all);
    return count;
}

int main(int argc, char **argv) {
    if (argc != 2) return 2;
    int port = atoi(argv[1]), holder = tcp_socket(), fd = tcp_socket(), wrong = 0;
    if (bind_loopback(holder, port) != 0 || listen(holder, 4) != 0) give_up("bind");
    for (int warm = 0; warm < 40; warm++) bind_loopback(fd, port);
    // Each is made once before it is counted: the C library keeps what it needs for it.
    descriptors(), mappings();
    int before[2] = {descriptors(), mappings()};
    struct sigaction action = {.sa_handler = on_alarm};
    sigaction(SIGALRM, &action, NULL);
    struct itimerval timer = {{0, 170}, {0, 170}};
    setitimer(ITIMER_REAL, &timer, NULL);
    while (jumps < JUMPS) {
        if (sigsetjmp(outside, 1) != 0) continue;
        armed = 1;
        int result = bind_loopback(fd, port);
        armed = 0;
        if (result != -1 || errno != EADDRINUSE) wrong++;
    }
    timer = (struct itimerval){{0, 0}, {0, 0}};
    setitimer(ITIMER_REAL, &timer, NULL);
    sigset_t blocked;
    sigprocmask(SIG_BLOCK, NULL, &blocked);
    int after[2] = {descriptors(), mappings()};
    printf("wrong %d descriptors %d mappings %d blocked %d\n", wrong, after[0] - before[0],
           after[1] - before[1], sigismember(&blocked, SIGALRM));
    return 0;
}
