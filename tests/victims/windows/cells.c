/* Two sockets on one port, with every pair of options and of addresses: Microsoft's table of "Using
 * SO_REUSEADDR and SO_EXCLUSIVEADDRUSE" for one user. A line says what the second bind gave for each
 * kind of the first: 0, or the error.
 */
// link: -lws2_32
#include <stdio.h>
#include <string.h>
#include <winsock2.h>

/* Kinds of sockets, in the order of the table. */
static const char *KINDS[6] = {"default W", "default S", "reuse W", "reuse S", "exclusive W",
                               "exclusive S"};

/* Binds a socket of a kind to a port, 0 for any; gives the error, and the port that it has. */
static int bind_kind(int kind, SOCKET *it, u_short *port) {
    BOOL on = TRUE;
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(*port)};
    address.sin_addr.s_addr = kind % 2 ? htonl(INADDR_LOOPBACK) : INADDR_ANY;
    *it = socket(AF_INET, SOCK_STREAM, 0);
    if (kind / 2 == 1) setsockopt(*it, SOL_SOCKET, SO_REUSEADDR, (char *)&on, sizeof on);
    if (kind / 2 == 2) setsockopt(*it, SOL_SOCKET, SO_EXCLUSIVEADDRUSE, (char *)&on, sizeof on);
    if (bind(*it, (struct sockaddr *)&address, sizeof address)) return WSAGetLastError();
    int length = sizeof address;
    getsockname(*it, (struct sockaddr *)&address, &length);
    *port = ntohs(address.sin_port);
    return 0;
}

int main(void) {
    WSADATA data;
    if (WSAStartup(MAKEWORD(2, 2), &data)) return 2;
    for (int first = 0; first < 6; first++) {
        printf("%s:", KINDS[first]);
        for (int second = 0; second < 6; second++) {
            SOCKET one, two;
            u_short port = 0;
            if (bind_kind(first, &one, &port)) return 3;
            printf(" %d", bind_kind(second, &two, &port));
            closesocket(one);
            closesocket(two);
        }
        printf("\n");
    }
    return 0;
}
