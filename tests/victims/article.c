// The server of every introduction to sockets: getaddrinfo, socket, bind, listen, accept, and no
// SO_REUSEADDR. It answers one line to whoever connects. Usage: article PORT
#include <netdb.h>
#include "victim.h"

int main(int argc, char **argv) {
    if (argc != 2) return 2;
    struct addrinfo hints, *found;
    memset(&hints, 0, sizeof hints);
    hints.ai_family = AF_INET;
    hints.ai_socktype = SOCK_STREAM;
    hints.ai_flags = AI_PASSIVE;
    if (getaddrinfo(NULL, argv[1], &hints, &found) != 0) {
        fprintf(stderr, "getaddrinfo() failed. (%d)\n", errno);
        return 1;
    }
    int listener = socket(found->ai_family, found->ai_socktype, found->ai_protocol);
    if (listener < 0) {
        fprintf(stderr, "socket() failed. (%d)\n", errno);
        return 1;
    }
    if (bind(listener, found->ai_addr, found->ai_addrlen)) {
        fprintf(stderr, "bind() failed. (%d)\n", errno);
        return 1;
    }
    freeaddrinfo(found);
    if (listen(listener, 10) < 0) {
        fprintf(stderr, "listen() failed. (%d)\n", errno);
        return 1;
    }
    for (;;) {
        int client = accept(listener, NULL, NULL);
        if (client < 0) {
            fprintf(stderr, "accept() failed. (%d)\n", errno);
            return 1;
        }
        if (write(client, "hello\n", 6) != 6) fprintf(stderr, "write() failed. (%d)\n", errno);
        close(client);
    }
}
