// Calls that no server should make, and the kernel's answer. Usage: usage CASE PORT
#include <fcntl.h>
#include <sys/mman.h>
#include "victim.h"

static int bind_bytes(int fd, const void *bytes, int length) {
    return tell("bind", bind(fd, bytes, (socklen_t)length));
}

// 8 readable bytes at the end of a page that is followed by nothing.
static void *end_of_memory(void) {
    char *pages = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (pages == MAP_FAILED || munmap(pages + 4096, 4096) != 0) give_up("mmap");
    char *end = pages + 4096 - 8;
    *(unsigned short *)end = AF_INET;
    return end;
}

int main(int argc, char **argv) {
    if (argc != 3) return 2;
    const char *name = argv[1];
    struct sockaddr_in good = loopback(atoi(argv[2]));
    char space[256] = {0};
    memcpy(space, &good, sizeof good);
    int fd = tcp_socket();
    int result;
    if (strcmp(name, "already_bound") == 0) {
        bind_bytes(fd, &good, sizeof good);
        result = bind_bytes(fd, &good, sizeof good);
    } else if (strcmp(name, "short") == 0) {
        result = bind_bytes(fd, &good, 8);
    } else if (strcmp(name, "one_byte") == 0) {
        result = bind_bytes(fd, &good, 1);
    } else if (strcmp(name, "long") == 0) {
        result = bind_bytes(fd, space, 200);
    } else if (strcmp(name, "negative") == 0) {
        result = bind_bytes(fd, &good, -1);
    } else if (strcmp(name, "family") == 0) {
        struct sockaddr_in6 other = {0};
        other.sin6_family = AF_INET6;
        other.sin6_addr = in6addr_loopback;
        other.sin6_port = good.sin_port;
        result = bind_bytes(fd, &other, sizeof other);
    } else if (strcmp(name, "v4_on_v6") == 0 || strcmp(name, "v4_on_v6_long") == 0) {
        fd = socket(AF_INET6, SOCK_STREAM, 0);
        result = bind_bytes(fd, space, name[8] == 0 ? sizeof good : sizeof(struct sockaddr_in6));
    } else if (strcmp(name, "unspecified") == 0) {
        good.sin_family = AF_UNSPEC;
        result = bind_bytes(fd, &good, sizeof good);
    } else if (strcmp(name, "null") == 0) {
        result = bind_bytes(fd, NULL, sizeof good);
    } else if (strcmp(name, "pointer") == 0) {
        result = bind_bytes(fd, (void *)8, sizeof good);
    } else if (strcmp(name, "end_of_memory") == 0) {
        result = bind_bytes(fd, end_of_memory(), sizeof good);
    } else if (strcmp(name, "closed_fd") == 0) {
        close(fd);
        result = bind_bytes(fd, &good, sizeof good);
    } else if (strcmp(name, "minus_one") == 0) {
        result = bind_bytes(-1, &good, sizeof good);
    } else if (strcmp(name, "not_a_socket") == 0) {
        result = bind_bytes(open("/dev/null", O_RDWR), &good, sizeof good);
    } else {
        return 2;
    }
    return result != 0;
}
