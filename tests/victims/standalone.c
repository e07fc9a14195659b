// A program without a dynamic linker: nothing can be preloaded into it. Usage: standalone PORT
// link: -static
#include "victim.h"

int main(int argc, char **argv) {
    if (argc != 2) return 2;
    return tell("bind", bind_loopback(tcp_socket(), atoi(argv[1]))) != 0;
}
