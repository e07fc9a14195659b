/* Every wrong use of the three calls that Winsock, or Wine's, answers with an error of its own. It
 * prints each with that error. */
// link: -lws2_32
#include <stdio.h>
#include <winsock2.h>
#include <ws2tcpip.h>

static void told(const char *what, int result) {
    int error = WSAGetLastError();
    printf("%s: %d, last error %d\n", what, result, error);
}

int main(void) {
    struct sockaddr_in any = {.sin_family = AF_INET};
    struct sockaddr_in away = {.sin_family = AF_INET};
    struct sockaddr_in6 any6 = {.sin6_family = AF_INET6};
    struct sockaddr_in none = {.sin_family = AF_UNSPEC};
    union {
        struct sockaddr_in in;
        struct sockaddr_in6 in6;
    } room = {.in = any};
    struct sockaddr *name = (struct sockaddr *)&room;
    BOOL on = TRUE;
    WSADATA data;
    away.sin_addr.s_addr = inet_addr("192.0.2.77");
    told("not started", bind(4, name, sizeof any));
    if (WSAStartup(MAKEWORD(2, 2), &data)) return 2;
    SOCKET tcp = socket(AF_INET, SOCK_STREAM, 0), udp = socket(AF_INET, SOCK_DGRAM, 0);
    told("no socket", bind(INVALID_SOCKET, name, sizeof any));
    HANDLE file = CreateFileA("file", GENERIC_WRITE, 0, NULL, CREATE_ALWAYS, 0, NULL);
    told("a file", bind((SOCKET)file, name, sizeof any));
    CloseHandle(file);
    told("no address", bind(tcp, NULL, sizeof any));
    told("too short", bind(tcp, name, 7));
    told("another family", bind(tcp, (struct sockaddr *)&any6, sizeof any6));
    SOCKET six = socket(AF_INET6, SOCK_STREAM, 0);
    told("IPv4 on IPv6", bind(six, name, sizeof any6));
    told("no family", bind(tcp, (struct sockaddr *)&none, sizeof none));
    told("not here", bind(tcp, (struct sockaddr *)&away, sizeof away));
    told("listen unbound", listen(tcp, 5));
    told("bind", bind(tcp, name, sizeof any));
    told("bind again", bind(tcp, name, sizeof any));
    told("exclusive too late",
         setsockopt(tcp, SOL_SOCKET, SO_EXCLUSIVEADDRUSE, (char *)&on, sizeof on));
    told("bind udp", bind(udp, name, sizeof any));
    told("listen udp", listen(udp, 5));
    SOCKET both = socket(AF_INET, SOCK_STREAM, 0);
    told("reuse", setsockopt(both, SOL_SOCKET, SO_REUSEADDR, (char *)&on, sizeof on));
    told("and exclusive", setsockopt(both, SOL_SOCKET, SO_EXCLUSIVEADDRUSE, (char *)&on, sizeof on));
    return 0;
}
