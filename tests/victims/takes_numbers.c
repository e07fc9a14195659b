// A program that closes every descriptor, in each of the ways that there are, puts its database on
// every number that somebody else may have had, and binds. Usage: takes_numbers PORT DATABASE
#include <dirent.h>
#include <fcntl.h>
#include <sys/syscall.h>
#include "victim.h"

#define LAST 1100

static int database;

static void one_by_one(void) {
    for (int fd = 3; fd <= LAST; fd++) close(fd);
}

static void by_the_kernel(void) {
    for (long fd = 3; fd <= LAST; fd++) syscall(SYS_close, fd);
}

static void all_from(void) { closefrom(3); }
static void range(void) { close_range(3, ~0U, 0); }
static void nothing(void) {}

// Only those that are open, as many daemons do.
static void listed(void) {
    DIR *all = opendir("/proc/self/fd");
    int numbers[2048], count = 0;
    for (struct dirent *entry; (entry = readdir(all)) != NULL && count < 2048;)
        if (atoi(entry->d_name) > 2 && atoi(entry->d_name) != dirfd(all))
            numbers[count++] = atoi(entry->d_name);
    closedir(all);
    for (int i = 0; i < count; i++) close(numbers[i]);
}

static void attempt(const char *how, void (*close_all)(void), const char *path, int port) {
    close_all();
    database = open(path, O_WRONLY | O_CREAT | O_APPEND, 0644);
    if (database < 0 || write(database, "own\n", 4) != 4) give_up(path);
    for (int fd = 3; fd <= LAST; fd++)
        if (fd != database && dup2(database, fd) < 0) give_up("dup2");
    int fd = tcp_socket();
    printf("%s:\n", how);
    tell("bind", bind_loopback(fd, port));
    tell("bind", bind_loopback(fd, port));
    close(fd);
}

int main(int argc, char **argv) {
    if (argc != 3) return 2;
    int port = atoi(argv[1]);
    attempt("dup2 alone", nothing, argv[2], port);
    attempt("close", one_by_one, argv[2], port);
    attempt("SYS_close", by_the_kernel, argv[2], port);
    attempt("closefrom", all_from, argv[2], port);
    attempt("close_range", range, argv[2], port);
    attempt("/proc/self/fd", listed, argv[2], port);
    return 0;
}
