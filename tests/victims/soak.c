// Threads that bind, fail to bind, listen and close for a while; then says how much the process has
// grown since its first moments. Usage: soak PORT SECONDS
#include <dirent.h>
#include <pthread.h>
#include <time.h>
#include "victim.h"

#define THREADS 4

static int port;
static volatile int stop;
static unsigned long wrong;

static void *work(void *unused) {
    (void)unused;
    while (!stop) {
        int fd = tcp_socket();
        if (bind_loopback(fd, port) != -1 || errno != EADDRINUSE) __sync_fetch_and_add(&wrong, 1);
        if (bind_loopback(fd, 0) != 0 || listen(fd, 4) != 0) __sync_fetch_and_add(&wrong, 1);
        if (bind_loopback(-1, port) != -1 || errno != EBADF) __sync_fetch_and_add(&wrong, 1);
        close(fd);
        usleep(4000);
    }
    return NULL;
}

static long count_lines(const char *path) {
    long count = 0;
    int byte;
    FILE *all = fopen(path, "r");
    while ((byte = getc(all)) != EOF) count += byte == '\n';
    fclose(all);
    return count;
}

static long resident_kib(void) {
    long pages = 0;
    FILE *file = fopen("/proc/self/statm", "r");
    if (fscanf(file, "%*d %ld", &pages) != 1) give_up("statm");
    fclose(file);
    return pages * (sysconf(_SC_PAGESIZE) / 1024);
}

static long descriptors(void) {
    long count = 0;
    DIR *all = opendir("/proc/self/fd");
    while (readdir(all) != NULL) count++;
    closedir(all);
    return count;
}

// Runs the threads for a while.
static void run(int seconds) {
    pthread_t threads[THREADS];
    stop = 0;
    for (int i = 0; i < THREADS; i++)
        if (pthread_create(&threads[i], NULL, work, NULL) != 0) give_up("pthread_create");
    sleep(seconds);
    stop = 1;
    for (int i = 0; i < THREADS; i++) pthread_join(threads[i], NULL);
}

int main(int argc, char **argv) {
    if (argc != 3) return 2;
    port = atoi(argv[1]);
    int holder = tcp_socket();
    if (bind_loopback(holder, port) != 0 || listen(holder, 4) != 0) give_up("bind");
    run(2);
    long before[3] = {descriptors(), count_lines("/proc/self/maps"), resident_kib()};
    run(atoi(argv[2]));
    long after[3] = {descriptors(), count_lines("/proc/self/maps"), resident_kib()};
    printf("wrong %lu descriptors %ld mappings %ld\n", wrong, after[0] - before[0],
           after[1] - before[1]);
    fprintf(stderr, "resident %ld KiB, grown by %ld KiB\n", after[2], after[2] - before[2]);
    return after[2] - before[2] > 256;
}
