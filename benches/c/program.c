/* The program whose calls are timed. It prints nanoseconds per call, or what a holder holds.
 *
 *   program bind          one bind of a fresh TCP socket to 127.0.0.1:0
 *   program nodelay       one setsockopt(TCP_NODELAY)
 *   program fail PORT     a bind to a taken port: the first, then the median of 50 more
 *   program own           the same, with the port taken by this process
 *   program parent        the same, with the port taken by the parent process
 *   program probe PORT..  binds to each port, in all
 *   program memory        kilobytes of this process after one bind (PSS)
 *   program hold N        listens on N ports, prints them, waits for the end of its input
 *   program crowd N F     N processes with F descriptors each, waits for the end of its input
 *   program sockets N F   N processes with F listening sockets each, the same
 */
#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static uint64_t now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1000000000ull + t.tv_nsec;
}

static int ascending(const void *a, const void *b) {
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

static uint64_t median(uint64_t *values, size_t n) {
    qsort(values, n, sizeof *values, ascending);
    return values[n / 2];
}

static int tcp(void) {
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0) {
        perror("socket");
        exit(1);
    }
    return fd;
}

static int bind_to(int fd, int port) {
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons(port)};
    a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    return bind(fd, (struct sockaddr *)&a, sizeof a);
}

static int port_of(int fd) {
    struct sockaddr_in a;
    socklen_t length = sizeof a;
    getsockname(fd, (struct sockaddr *)&a, &length);
    return ntohs(a.sin_port);
}

static int listener(void) {
    int fd = tcp();
    if (bind_to(fd, 0) || listen(fd, 8)) {
        perror("listen");
        exit(1);
    }
    return port_of(fd);
}

static void time_binds(void) {
    enum { BATCHES = 30, SOCKETS = 200 };
    uint64_t times[BATCHES];
    for (int b = 0; b < BATCHES; b++) {
        int fds[SOCKETS];
        for (int i = 0; i < SOCKETS; i++)
            fds[i] = tcp();
        uint64_t start = now();
        for (int i = 0; i < SOCKETS; i++)
            if (bind_to(fds[i], 0))
                exit(1);
        times[b] = (now() - start) / SOCKETS;
        for (int i = 0; i < SOCKETS; i++)
            close(fds[i]);
    }
    printf("%lu\n", median(times, BATCHES));
}

static void time_nodelay(void) {
    enum { BATCHES = 30, CALLS = 1000 };
    uint64_t times[BATCHES];
    int fd = tcp(), on = 1;
    for (int b = 0; b < BATCHES; b++) {
        uint64_t start = now();
        for (int i = 0; i < CALLS; i++)
            if (setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on))
                exit(1);
        times[b] = (now() - start) / CALLS;
    }
    printf("%lu\n", median(times, BATCHES));
}

static uint64_t time_failure(int port) {
    int fd = tcp();
    uint64_t start = now();
    int result = bind_to(fd, port);
    uint64_t took = now() - start;
    if (result == 0)
        exit(1);
    close(fd);
    return took;
}

static void time_failures(int port) {
    enum { MORE = 50 };
    uint64_t first = time_failure(port), times[MORE];
    for (int i = 0; i < MORE; i++)
        times[i] = time_failure(port);
    printf("%lu %lu\n", first, median(times, MORE));
}

static void time_probes(int count, char **ports) {
    uint64_t start = now();
    for (int i = 0; i < count; i++)
        time_failure(atoi(ports[i]));
    printf("%lu\n", now() - start);
}

static void under_parent(char *self) {
    char port[8];
    snprintf(port, sizeof port, "%d", listener());
    if (fork() == 0) {
        execl(self, self, "fail", port, NULL);
        _exit(127);
    }
    int status;
    wait(&status);
    exit(status != 0);
}

static void print_memory(void) {
    bind_to(tcp(), 0);
    FILE *file = fopen("/proc/self/smaps_rollup", "r");
    char line[256];
    long kilobytes;
    while (file && fgets(line, sizeof line, file))
        if (sscanf(line, "Pss: %ld", &kilobytes) == 1)
            printf("%ld\n", kilobytes);
}

static void wait_for_end_of_input(void) {
    char byte;
    fflush(stdout);
    while (read(0, &byte, 1) > 0)
        ;
}

static void hold(int count) {
    struct rlimit limit = {4096, 4096};
    setrlimit(RLIMIT_NOFILE, &limit);
    for (int i = 0; i < count; i++)
        printf("%d ", listener());
    printf("\n");
    wait_for_end_of_input();
}

static void open_file(int process, int number) {
    (void)process;
    (void)number;
    open("/dev/null", O_RDONLY);
}

/* Each process has an address, each of its sockets a port. */
static void open_socket(int process, int number) {
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(20000 + number)};
    int fd = tcp();
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK + 0x10000 + process);
    if (bind(fd, (struct sockaddr *)&to, sizeof to) || listen(fd, 1)) {
        perror("a socket of many");
        exit(1);
    }
}

static void crowd(int processes, int descriptors, void (*open_one)(int, int)) {
    int ready[2];
    if (pipe(ready))
        exit(1);
    for (int p = 0; p < processes; p++)
        if (fork() == 0) {
            prctl(PR_SET_PDEATHSIG, SIGKILL);
            for (int d = 0; d < descriptors; d++)
                open_one(p, d);
            if (write(ready[1], "", 1) != 1)
                exit(1);
            close(ready[1]);
            for (;;)
                pause();
        }
    close(ready[1]);
    for (char byte; processes > 0; processes--)
        if (read(ready[0], &byte, 1) != 1)
            exit(1);
    printf("ready\n");
    wait_for_end_of_input();
}

int main(int argc, char **argv) {
    const char *what = argc > 1 ? argv[1] : "";
    if (!strcmp(what, "bind"))
        time_binds();
    else if (!strcmp(what, "nodelay"))
        time_nodelay();
    else if (!strcmp(what, "fail") && argc == 3)
        time_failures(atoi(argv[2]));
    else if (!strcmp(what, "own"))
        time_failures(listener());
    else if (!strcmp(what, "parent"))
        under_parent(argv[0]);
    else if (!strcmp(what, "probe"))
        time_probes(argc - 2, argv + 2);
    else if (!strcmp(what, "memory"))
        print_memory();
    else if (!strcmp(what, "hold") && argc == 3)
        hold(atoi(argv[2]));
    else if (!strcmp(what, "crowd") && argc == 4)
        crowd(atoi(argv[2]), atoi(argv[3]), open_file);
    else if (!strcmp(what, "sockets") && argc == 4)
        crowd(atoi(argv[2]), atoi(argv[3]), open_socket);
    else
        return 2;
    return 0;
}
