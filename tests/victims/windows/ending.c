/* Copies standard input to standard output, and ends with the code that it is given. */
#include <stdio.h>
#include <stdlib.h>
#include <windows.h>

int main(int count, char **words) {
    int c;
    while ((c = getchar()) != EOF) putchar(c);
    fprintf(stderr, "standard error\n");
    fflush(stdout);
    ExitProcess(count > 1 ? strtoul(words[1], NULL, 0) : 0);
}
