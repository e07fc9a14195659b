// Does what its arguments say, one after the other, and says what each call gave: most failures
// of a bind are a few plain steps. Usage: steps STEP...
//
//   tcp4 tcp6 udp4 udp6 mptcp vsock  a new socket, on which the following steps work
//   unix unix_dgram unix_seqpacket   the same
//   pair                       one of two connected unix sockets
//   none  file                 no socket: a descriptor that is closed, or one of a file
//   reuse noreuse reuseport v6only transparent   sets the option
//   device NAME  ifindex NUMBER   SO_BINDTODEVICE, SO_BINDTOIFINDEX
//   bind ADDRESS PORT          bind PATH or bind @NAME for a unix socket, bind CID PORT for vsock;
//                              ADDRESS%INTERFACE for a scope, by name or number
//   bind_long LENGTH           binds a unix socket to an address of that length
//   connect ADDRESS PORT  send ADDRESS PORT   connects, or sends a datagram; connect PATH
//   listen close
//   show                       says the socket's SO_REUSEADDR
//   memory MB                  owns that much memory
//   kill PID                   kill -9
//   kill_into_exit PID         kill -9, and waits until it has given up its memory, not its files
//   chdir DIRECTORY  chroot DIRECTORY  setuid UID
//   network                    enters a new network namespace
//   wait                       until there is a line on standard input
//   handle                     a handler for SIGINT, which says so
//   ignore                     ignores SIGINT
//   hold                       says "holding" and stays until a signal comes
//
// It ends with 1 if a call failed.
#include <fcntl.h>
// Older kernels' vm_sockets.h needs it first.
#include <sys/socket.h>
#include <linux/vm_sockets.h>
#include <net/if.h>
#include <sched.h>
#include <stddef.h>
#include <sys/mman.h>
#include "victim.h"

static int fd = -1, family, failures;

static void step_result(const char *call, int result) {
    if (tell(call, result) != 0) failures++;
}

static void on_interrupt(int number) {
    (void)number;
    if (write(1, "interrupted\n", 12) != 12) _exit(98);
}

static void no_socket(const char *kind) {
    fd = open("/dev/null", O_RDONLY);
    if (fd < 0) give_up("/dev/null");
    if (strcmp(kind, "none") == 0) close(fd);
}

static void new_pair(void) {
    int both[2];
    if (socketpair(AF_UNIX, SOCK_STREAM, 0, both) != 0) give_up("socketpair");
    fd = both[0];
    family = AF_UNIX;
}

static void new_socket(const char *kind) {
    int is_datagram = strncmp(kind, "udp", 3) == 0 || strcmp(kind, "unix_dgram") == 0;
    int is_packet = strcmp(kind, "unix_seqpacket") == 0;
    int type = is_datagram ? SOCK_DGRAM : is_packet ? SOCK_SEQPACKET : SOCK_STREAM;
    family = strncmp(kind, "unix", 4) == 0 ? AF_UNIX
        : strcmp(kind, "vsock") == 0 ? AF_VSOCK
        : kind[3] == '6' ? AF_INET6 : AF_INET;
    fd = socket(family, type, strcmp(kind, "mptcp") == 0 ? 262 : 0);
    if (fd < 0) give_up("socket");
}

static void set(int level, int option, int value) {
    step_result("setsockopt", setsockopt(fd, level, option, &value, sizeof value));
}

static void set_device(const char *name) {
    step_result("setsockopt",
                setsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, name, (socklen_t)strlen(name) + 1));
}

static unsigned scope_of(char *text) {
    char *scope = strchr(text, '%');
    if (scope == NULL) return 0;
    *scope++ = 0;
    unsigned index = if_nametoindex(scope);
    return index != 0 ? index : (unsigned)atoi(scope);
}

// A path with its end, as most programs pass it; an abstract name, written as @NAME, without.
static socklen_t unix_address(struct sockaddr_storage *address, const char *path) {
    struct sockaddr_un *un = (struct sockaddr_un *)address;
    un->sun_family = AF_UNIX;
    strncpy(un->sun_path, path, sizeof un->sun_path - 1);
    if (path[0] != '@') return sizeof *un;
    un->sun_path[0] = 0;
    return (socklen_t)(offsetof(struct sockaddr_un, sun_path) + strlen(path));
}

static void bind_long(size_t length) {
    char address[256];
    memset(address, 'x', sizeof address);
    ((struct sockaddr_un *)address)->sun_family = AF_UNIX;
    step_result("bind", bind(fd, (struct sockaddr *)address, (socklen_t)length));
}

// Reads an address from the arguments; gives its length.
static socklen_t address_of(char ***arguments, struct sockaddr_storage *address) {
    char **next = *arguments;
    socklen_t length;
    memset(address, 0, sizeof *address);
    if (family == AF_UNIX) {
        length = unix_address(address, *next++);
    } else if (family == AF_VSOCK) {
        struct sockaddr_vm *vm = (struct sockaddr_vm *)address;
        vm->svm_family = AF_VSOCK;
        vm->svm_cid = (unsigned)strtoul(*next++, NULL, 10);
        vm->svm_port = (unsigned)strtoul(*next++, NULL, 10);
        length = sizeof *vm;
    } else if (family == AF_INET) {
        struct sockaddr_in *in = (struct sockaddr_in *)address;
        in->sin_family = AF_INET;
        if (inet_pton(AF_INET, *next++, &in->sin_addr) != 1) give_up("inet_pton");
        in->sin_port = htons((unsigned short)atoi(*next++));
        length = sizeof *in;
    } else {
        struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)address;
        in6->sin6_family = AF_INET6;
        in6->sin6_scope_id = scope_of(*next);
        if (inet_pton(AF_INET6, *next++, &in6->sin6_addr) != 1) give_up("inet_pton");
        in6->sin6_port = htons((unsigned short)atoi(*next++));
        length = sizeof *in6;
    }
    *arguments = next;
    return length;
}

static char **do_bind(char **arguments) {
    struct sockaddr_storage address;
    socklen_t length = address_of(&arguments, &address);
    step_result("bind", bind(fd, (struct sockaddr *)&address, length));
    return arguments;
}

static char **do_connect(char **arguments) {
    struct sockaddr_storage address;
    socklen_t length = address_of(&arguments, &address);
    int result = connect(fd, (struct sockaddr *)&address, length);
    if (family == AF_UNIX) step_result("connect", result);
    else if (result != 0) give_up("connect");
    return arguments;
}

static char **do_send(char **arguments) {
    struct sockaddr_storage address;
    socklen_t length = address_of(&arguments, &address);
    if (sendto(fd, "x", 1, 0, (struct sockaddr *)&address, length) != 1) give_up("sendto");
    return arguments;
}

static void show(void) {
    int value = -1;
    socklen_t length = sizeof value;
    if (getsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &value, &length) != 0) give_up("getsockopt");
    printf("reuseaddr %d\n", value);
    fflush(stdout);
}

// One page at a time, so that its end takes as long as that of a real program's memory.
static void own_memory(size_t megabytes) {
    size_t size = megabytes << 20;
    char *memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED) give_up("mmap");
    madvise(memory, size, MADV_NOHUGEPAGE);
    for (size_t at = 0; at < size; at += 4096) memory[at] = 1;
}

// The kernel forgets the program's name when a process lets go of its memory. That takes a while
// where there is much of it, and only then are the descriptors closed.
static void kill_into_exit(const char *pid) {
    char link[64], name[8];
    snprintf(link, sizeof link, "/proc/%s/exe", pid);
    kill(atoi(pid), SIGKILL);
    while (readlink(link, name, sizeof name) >= 0) {}
}

static void change(const char *what, int result) {
    if (result != 0) give_up(what);
}

static void hold(void) {
    puts("holding");
    fflush(stdout);
    pause();
}

int main(int argc, char **argv) {
    (void)argc;
    for (char **next = argv + 1; *next != NULL;) {
        const char *step = *next++;
        if (strcmp(step, "bind") == 0) next = do_bind(next);
        else if (strcmp(step, "bind_long") == 0) bind_long((size_t)atoi(*next++));
        else if (strcmp(step, "network") == 0) change("unshare", unshare(CLONE_NEWNET));
        else if (strcmp(step, "listen") == 0) step_result("listen", listen(fd, 16));
        else if (strcmp(step, "close") == 0) close(fd);
        else if (strcmp(step, "connect") == 0) next = do_connect(next);
        else if (strcmp(step, "send") == 0) next = do_send(next);
        else if (strcmp(step, "pair") == 0) new_pair();
        else if (strcmp(step, "none") == 0 || strcmp(step, "file") == 0) no_socket(step);
        else if (strcmp(step, "transparent") == 0) set(IPPROTO_IP, IP_TRANSPARENT, 1);
        else if (strcmp(step, "device") == 0) set_device(*next++);
        else if (strcmp(step, "ifindex") == 0) set(SOL_SOCKET, SO_BINDTOIFINDEX, atoi(*next++));
        else if (strcmp(step, "reuse") == 0) set(SOL_SOCKET, SO_REUSEADDR, 1);
        else if (strcmp(step, "noreuse") == 0) set(SOL_SOCKET, SO_REUSEADDR, 0);
        else if (strcmp(step, "reuseport") == 0) set(SOL_SOCKET, SO_REUSEPORT, 1);
        else if (strcmp(step, "v6only") == 0) set(IPPROTO_IPV6, IPV6_V6ONLY, 1);
        else if (strcmp(step, "show") == 0) show();
        else if (strcmp(step, "memory") == 0) own_memory((size_t)atoi(*next++));
        else if (strcmp(step, "kill") == 0) kill(atoi(*next++), SIGKILL);
        else if (strcmp(step, "kill_into_exit") == 0) kill_into_exit(*next++);
        else if (strcmp(step, "chdir") == 0) change("chdir", chdir(*next++));
        else if (strcmp(step, "chroot") == 0) change("chroot", chroot(*next++));
        else if (strcmp(step, "closefrom") == 0) closefrom(atoi(*next++));
        else if (strcmp(step, "setuid") == 0) change("setuid", setuid((uid_t)atoi(*next++)));
        else if (strcmp(step, "wait") == 0) { if (getchar() == EOF) give_up("standard input"); }
        else if (strcmp(step, "handle") == 0) signal(SIGINT, on_interrupt);
        else if (strcmp(step, "ignore") == 0) signal(SIGINT, SIG_IGN);
        else if (strcmp(step, "hold") == 0) hold();
        else new_socket(step);
    }
    return failures != 0;
}
