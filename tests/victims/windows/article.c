/* The server of every introduction to sockets, as it is written for Windows: getaddrinfo, socket,
 * bind, listen, accept, and no option. It answers one line to whoever connects.
 *
 *     article PORT
 */
// link: -lws2_32
#include <stdio.h>
#include <string.h>
#include <winsock2.h>
#include <ws2tcpip.h>

int main(int argc, char **argv) {
    WSADATA d;
    if (argc != 2) return 2;
    if (WSAStartup(MAKEWORD(2, 2), &d)) {
        printf("Failed to initialize.\n");
        return 1;
    }
    struct addrinfo hints, *found;
    memset(&hints, 0, sizeof hints);
    hints.ai_family = AF_INET;
    hints.ai_socktype = SOCK_STREAM;
    hints.ai_flags = AI_PASSIVE;
    if (getaddrinfo(NULL, argv[1], &hints, &found)) {
        printf("getaddrinfo() failed. (%d)\n", WSAGetLastError());
        return 1;
    }
    SOCKET listener = socket(found->ai_family, found->ai_socktype, found->ai_protocol);
    if (listener == INVALID_SOCKET) {
        printf("socket() failed. (%d)\n", WSAGetLastError());
        return 1;
    }
    if (bind(listener, found->ai_addr, (int)found->ai_addrlen)) {
        printf("bind() failed. (%d)\n", WSAGetLastError());
        return 1;
    }
    freeaddrinfo(found);
    if (listen(listener, 10) < 0) {
        printf("listen() failed. (%d)\n", WSAGetLastError());
        return 1;
    }
    for (;;) {
        SOCKET client = accept(listener, NULL, NULL);
        if (client == INVALID_SOCKET) return 1;
        send(client, "hello\n", 6, 0);
        closesocket(client);
    }
}
