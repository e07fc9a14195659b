/* Stands in for netsh.exe: appends its command line to netsh.log, and prints the file
 * dynamicport.txt or excluded.txt, whichever it is asked for, byte for byte. With BINDSHIM_TEST_SLOW
 * it never ends. */
#include <fcntl.h>
#include <io.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <windows.h>

int main(void) {
    const char *line = GetCommandLineA();
    FILE *log = fopen("netsh.log", "a");
    fprintf(log, "%s\n", line);
    fclose(log);
    if (getenv("BINDSHIM_TEST_SLOW")) Sleep(INFINITE);
    FILE *list = fopen(strstr(line, "dynamicport") ? "dynamicport.txt" : "excluded.txt", "rb");
    _setmode(1, _O_BINARY);
    for (int byte; list && (byte = getc(list)) != EOF;) putchar(byte);
    return 0;
}
